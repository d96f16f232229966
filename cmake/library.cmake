# libautoglm: every room of the engine, shared and static, exporting only what AG_API marks.
if(AG_ROOM_OBJECTS)
  add_library(autoglm SHARED ${AG_ROOM_OBJECTS})
  add_library(autoglm_static STATIC ${AG_ROOM_OBJECTS})
  set_target_properties(autoglm PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  set_target_properties(autoglm_static PROPERTIES OUTPUT_NAME autoglm)
  foreach(lib autoglm autoglm_static)
    target_include_directories(${lib} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${lib} PRIVATE $<BUILD_INTERFACE:ag_flags> PkgConfig::UTF8PROC PkgConfig::JANSSON
      PkgConfig::NETTLE PkgConfig::SQLITE Threads::Threads m)
  endforeach()
endif()
