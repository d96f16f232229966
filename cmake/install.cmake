# What an installation consists of: the command, the library shared and static, its headers,
# pkg-config and CMake package files, licence and documents; and packages of the same by CPack.
include(CMakePackageConfigHelpers)
set(AG_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/autoglm)
set(AG_DOC_DIR ${CMAKE_INSTALL_DATADIR}/doc/autoglm)

install(DIRECTORY include/autoglm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE README.md README.zh-CN.md CHANGELOG.md DESTINATION ${AG_DOC_DIR})
install(DIRECTORY examples DESTINATION ${AG_DOC_DIR} FILES_MATCHING PATTERN "*.c")

if(TARGET autoglm)
  # The static library needs the engine's own dependencies at the consumer's link, the shared one
  # does not: two export sets, so that find_package(autoglm) asks for nothing else by default.
  install(TARGETS autoglm EXPORT autoglm-shared LIBRARY)
  install(TARGETS autoglm_static EXPORT autoglm-static ARCHIVE)
  install(EXPORT autoglm-shared NAMESPACE autoglm:: DESTINATION ${AG_CMAKE_DIR})
  install(EXPORT autoglm-static NAMESPACE autoglm:: DESTINATION ${AG_CMAKE_DIR})
  configure_package_config_file(cmake/autoglm-config.cmake.in ${CMAKE_BINARY_DIR}/autoglm-config.cmake
    INSTALL_DESTINATION ${AG_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/autoglm-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/autoglm-config.cmake ${CMAKE_BINARY_DIR}/autoglm-config-version.cmake
    DESTINATION ${AG_CMAKE_DIR})

  # Paths in the .pc file are relative to where it lies: the tree may be moved as a whole.
  file(RELATIVE_PATH AG_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" AG_PC_PREFIX "${AG_PC_PREFIX}")
  configure_file(cmake/autoglm.pc.in ${CMAKE_BINARY_DIR}/autoglm.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/autoglm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

# The command writes its own man pages and completions, from the table it parses with.
if(TARGET autoglm_cli)
  set_target_properties(autoglm_cli PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  set(AG_GENERATED ${CMAKE_BINARY_DIR}/generated)
  install(CODE "
    file(MAKE_DIRECTORY \"${AG_GENERATED}/man1\")
    execute_process(COMMAND \"$<TARGET_FILE:autoglm_cli>\" gen man \"${AG_GENERATED}/man1\"
      COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
    foreach(pair bash:autoglm zsh:_autoglm fish:autoglm.fish)
      string(REPLACE \":\" \";\" pair \"\${pair}\")
      list(GET pair 0 shell)
      list(GET pair 1 file)
      execute_process(COMMAND \"$<TARGET_FILE:autoglm_cli>\" gen \${shell}
        OUTPUT_FILE \"${AG_GENERATED}/\${file}\" COMMAND_ERROR_IS_FATAL ANY)
    endforeach()")
  install(DIRECTORY ${AG_GENERATED}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${AG_GENERATED}/autoglm DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${AG_GENERATED}/_autoglm DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${AG_GENERATED}/autoglm.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

# The service: a unit with the path that the program is installed at, and a configuration to begin with.
# In a package being made, that is not where the files are put now.
if(TARGET autoglm_cli)
  install(CODE "
    set(AG_UNIT_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    if(AG_UNIT_BINDIR MATCHES \"/_CPack_Packages/\")
      set(AG_UNIT_BINDIR \"/usr/${CMAKE_INSTALL_BINDIR}\")
    endif()
    configure_file(\"${CMAKE_SOURCE_DIR}/deploy/systemd/autoglm.service.in\"
      \"${AG_GENERATED}/autoglm.service\" @ONLY)")
  install(FILES ${AG_GENERATED}/autoglm.service DESTINATION lib/systemd/system)
  install(FILES deploy/autoglm.yml deploy/config.schema.json DESTINATION ${AG_DOC_DIR})
endif()

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME autoglm)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "AutoGLM Engine: serving language models on CPUs")
set(CPACK_PACKAGE_CONTACT "AutoGLM Engine maintainers <maintainers@autoglm.invalid>")
set(CPACK_PACKAGE_VENDOR "AutoGLM Engine")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "libc6 (>= 2.36), libcurl3-gnutls, libgnutls30, libjansson4, libmicrohttpd12, libnettle8, libseccomp2, libsqlite3-0, libutf8proc2, libyaml-0-2")
include(CPack)
