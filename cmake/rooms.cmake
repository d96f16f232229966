# ag_room(NAME DIR DEPS...): the sources of a room as objects (for the library) and as a static
# archive ag_NAME (for its tests). Kernel files get their ISA flags from their suffix.
set(AG_X86 FALSE)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(AG_X86 TRUE)
endif()
set(AG_ROOM_OBJECTS "")

function(ag_room name dir)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.c)
  if(NOT AG_X86)
    list(FILTER sources EXCLUDE REGEX "/x86/")
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(ag_${name}_obj OBJECT ${sources})
  target_include_directories(ag_${name}_obj PUBLIC ${CMAKE_SOURCE_DIR}/include
    ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/engine)
  target_link_libraries(ag_${name}_obj PUBLIC ag_flags)
  add_library(ag_${name} STATIC $<TARGET_OBJECTS:ag_${name}_obj>)
  target_include_directories(ag_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include
    ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/engine)
  target_link_libraries(ag_${name} PUBLIC ag_flags)
  foreach(dep ${ARGN})
    if(dep MATCHES "::|^m$") # a library from outside
      target_link_libraries(ag_${name} PUBLIC ${dep})
      target_link_libraries(ag_${name}_obj PUBLIC ${dep})
    elseif(TARGET ag_${dep})
      target_link_libraries(ag_${name} PUBLIC ag_${dep})
    endif()
  endforeach()
  set(AG_ROOM_OBJECTS ${AG_ROOM_OBJECTS} $<TARGET_OBJECTS:ag_${name}_obj> PARENT_SCOPE)
  foreach(file ${sources})
    ag_isa_flags(${file})
  endforeach()
endfunction()

# The suffix of a kernel file is its compile flag; nothing else in the tree has one.
function(ag_isa_flags file)
  set(avx2 -mavx2 -mfma -mf16c -mbmi2)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
  if(file MATCHES "_avx2\\.c$")
    set(flags ${avx2})
  elseif(file MATCHES "_avx512\\.c$")
    set(flags ${avx512} -mprefer-vector-width=512)
  elseif(file MATCHES "_vnni\\.c$")
    set(flags ${avx512} -mavx512vnni -mprefer-vector-width=512)
  elseif(file MATCHES "_bf16\\.c$")
    set(flags ${avx512} -mavx512vnni -mavx512bf16 -mprefer-vector-width=512)
  endif()
  if(file MATCHES "/kernels/")
    list(APPEND flags -Wno-conversion -fno-lto
      "$<$<CONFIG:Release>:-O3;-fstrict-overflow;-ftrivial-auto-var-init=uninitialized>")
  endif()
  # gcc takes minutes to instrument each file of wide intrinsics. The plain kernels keep every
  # sanitizer; the wide ones are their equals by test, between guard bytes. Fuzzers feed parsers, not
  # kernels.
  if(AG_SANITIZE AND (file MATCHES "/kernels/x86/" OR (AG_FUZZ AND file MATCHES "/kernels/ref/")))
    list(APPEND flags -fno-sanitize=all)
  endif()
  set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()
