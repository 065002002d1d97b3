# The two programs that compare the HTTP layer with Pistache's own.
find_package(PkgConfig REQUIRED)
pkg_check_modules(PISTACHE REQUIRED IMPORTED_TARGET libpistache)

add_executable(null_handler ${CMAKE_CURRENT_LIST_DIR}/null_handler.cc)
target_link_libraries(null_handler PRIVATE postern_http postern_base ${POSTERN_ALLOCATOR})

add_executable(pistache_baseline ${CMAKE_CURRENT_LIST_DIR}/pistache_baseline.cc)
target_link_libraries(pistache_baseline PRIVATE PkgConfig::PISTACHE Threads::Threads
                      ${POSTERN_ALLOCATOR})
