# The suite that every storage plugin runs, and what it needs to load one. See README.md.
add_library(postern_storage_harness STATIC ${CMAKE_CURRENT_LIST_DIR}/storage_harness.cc)
target_include_directories(postern_storage_harness PUBLIC ${CMAKE_CURRENT_LIST_DIR}/..)
target_link_libraries(postern_storage_harness PUBLIC PosternSdk::sdk Threads::Threads
                      PRIVATE ${CMAKE_DL_LIBS})

# Objects, not an archive: a linker drops the members of an archive that nobody refers to, and with
# them the tests.
add_library(postern_storage_conformance OBJECT
  ${CMAKE_CURRENT_LIST_DIR}/storage_conformance.cc
  ${CMAKE_CURRENT_LIST_DIR}/storage_documents.cc
  ${CMAKE_CURRENT_LIST_DIR}/storage_messages.cc
  ${CMAKE_CURRENT_LIST_DIR}/storage_upkeep.cc
  ${CMAKE_CURRENT_LIST_DIR}/storage_work.cc)
target_link_libraries(postern_storage_conformance PUBLIC postern_storage_harness GTest::gmock)
