# postern_provider_harness: runs a provider plugin as the gateway would.
# postern_provider_conformance: the suite that every provider plugin runs. Objects, since nothing
# refers to a test by name.
add_library(postern_provider_harness STATIC ${CMAKE_CURRENT_LIST_DIR}/provider_harness.cc)
target_include_directories(postern_provider_harness PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(postern_provider_harness
  PUBLIC PosternSdk::sdk GTest::gtest Threads::Threads ${CMAKE_DL_LIBS})

add_library(postern_provider_conformance OBJECT ${CMAKE_CURRENT_LIST_DIR}/provider_conformance.cc)
target_link_libraries(postern_provider_conformance PUBLIC postern_provider_harness)
