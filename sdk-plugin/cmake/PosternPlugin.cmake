# postern_plugin(NAME SOURCES … [LIBRARIES …])
#
# Builds NAME.so as a Postern plugin: nothing is exported but the entry point, no unique symbols
# that would bind across plugins, every symbol resolved at link time.
function(postern_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${name} MODULE ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES
    PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(POSTERN_PLUGIN_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${POSTERN_PLUGIN_DIRECTORY})
  endif()
  target_compile_definitions(${name} PRIVATE BOOST_ASIO_DISABLE_VISIBILITY)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -fno-gnu-unique)
  endif()
  if(NOT POSTERN_SANITIZER)
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  target_link_libraries(${name} PRIVATE PosternSdk::sdk ${arg_LIBRARIES})
endfunction()
