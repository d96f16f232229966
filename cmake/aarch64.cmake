# Cross build for AArch64 Linux with Debian's compiler; programs run under qemu, whose "max" CPU has
# every feature that the kernels use. Libraries come from AG_ARM64_ROOT, which tools/arm64_root fills.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(AG_ARM64_ROOT ${CMAKE_CURRENT_LIST_DIR}/../build/arm64-root CACHE PATH "libraries for AArch64")
get_filename_component(AG_ARM64_ROOT ${AG_ARM64_ROOT} ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${AG_ARM64_ROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${AG_ARM64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${AG_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-cpu;max;-L;/usr/aarch64-linux-gnu)
set(CMAKE_BUILD_RPATH ${AG_ARM64_ROOT}/usr/lib/aarch64-linux-gnu ${AG_ARM64_ROOT}/lib/aarch64-linux-gnu)
# Libraries need libraries from there too: an old-style run path counts for them as well.
list(JOIN CMAKE_BUILD_RPATH : AG_ARM64_PLACES)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--disable-new-dtags,-rpath-link,${AG_ARM64_PLACES}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT ${CMAKE_EXE_LINKER_FLAGS_INIT})
