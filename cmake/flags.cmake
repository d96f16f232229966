# Compiler flags. No -ffast-math and no contraction: the two laws (kernels/kernels.h) need every
# rounding where the source puts it. No -march=native: ISA flags belong to single files.
add_library(ag_flags INTERFACE)
target_compile_definitions(ag_flags INTERFACE _GNU_SOURCE AG_BUILD)
target_compile_options(ag_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Wformat=2
  -Wimplicit-fallthrough -Wno-format-nonliteral -Wno-sign-conversion
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> -ffp-contract=off -fvisibility=hidden -fno-math-errno
  $<$<BOOL:${AG_WERROR}>:-Werror>)

# OpenSSF's compiler hardening guide, for release builds; tests/install/hardening_test.sh looks at the
# result. Kernel files opt out of what would slow inner loops (rooms.cmake).
target_compile_options(ag_flags INTERFACE
  $<$<CONFIG:Release>:-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
  -fstack-clash-protection -fno-delete-null-pointer-checks -fno-strict-overflow
  -ftrivial-auto-var-init=zero>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(ag_flags INTERFACE $<$<CONFIG:Release>:-fcf-protection=full>)
endif()
target_link_options(ag_flags INTERFACE
  $<$<CONFIG:Release>:-Wl,-z,relro,-z,now,-z,noexecstack,--as-needed,--no-copy-dt-needed-entries>)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

set(AG_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined")
if(AG_SANITIZE)
  # gcc's range warnings are wrong in instrumented code; the other builds have them as errors.
  target_compile_options(ag_flags INTERFACE -fsanitize=${AG_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all -Wno-error -Wno-conversion -Wno-maybe-uninitialized)
  target_link_options(ag_flags INTERFACE -fsanitize=${AG_SANITIZE})
endif()
if(AG_FUZZ) # every room reports its branches to the fuzzer; only the fuzzers link its main()
  target_compile_options(ag_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
option(AG_COVERAGE "count executed lines" OFF)
if(AG_SANITIZE OR AG_FUZZ OR AG_COVERAGE) # such a program does more than its source says
  target_compile_definitions(ag_flags INTERFACE AG_INSTRUMENTED)
endif()
if(AG_COVERAGE)
  target_compile_options(ag_flags INTERFACE --coverage)
  target_link_options(ag_flags INTERFACE --coverage)
endif()
