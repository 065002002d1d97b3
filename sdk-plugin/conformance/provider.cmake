# postern_provider_conformance: the harness and the suite that every provider plugin runs.
add_library(postern_provider_conformance STATIC
  ${CMAKE_CURRENT_LIST_DIR}/provider_conformance.cc ${CMAKE_CURRENT_LIST_DIR}/provider_harness.cc)
target_include_directories(postern_provider_conformance PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(postern_provider_conformance
  PUBLIC PosternSdk::sdk GTest::gtest Threads::Threads ${CMAKE_DL_LIBS})
