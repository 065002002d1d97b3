# How every target of the project is compiled, and how a folder becomes a module.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

set(POSTERN_SANITIZER "" CACHE STRING "none (empty), asan (with UBSan) or tsan")
set_property(CACHE POSTERN_SANITIZER PROPERTY STRINGS "" asan tsan)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wold-style-cast -Werror -fstack-protector-strong)
if(POSTERN_SANITIZER STREQUAL "asan")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(POSTERN_SANITIZER STREQUAL "tsan")
  # GCC's ThreadSanitizer warns of fences that it does not model; Boost.Asio uses some.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  add_link_options(-fsanitize=thread)
elseif(POSTERN_SANITIZER)
  message(FATAL_ERROR "POSTERN_SANITIZER is '${POSTERN_SANITIZER}'; use asan or tsan")
else()
  add_compile_definitions($<$<CONFIG:RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()

# What the program allocates with; sanitizers have their own.
set(POSTERN_ALLOCATOR "")
if(NOT POSTERN_SANITIZER)
  find_library(JEMALLOC jemalloc REQUIRED)
  set(POSTERN_ALLOCATOR ${JEMALLOC})
endif()

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
include(GoogleTest)

# postern_module(NAME [SOURCES …] [DEPENDS …] [LIBRARIES …])
#
# Makes the folder a static library `postern_NAME`. Others include its headers as "NAME/x.h", and
# only when they name it in DEPENDS: each module has an include root of its own that holds nothing
# but a link to its folder, so an include that the architecture forbids finds no file. DEPENDS are
# modules, LIBRARIES are third-party targets that stay private to the module.
function(postern_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} SYMBOLIC)
  list(TRANSFORM arg_DEPENDS PREPEND postern_)
  if(arg_SOURCES)
    add_library(postern_${name} STATIC ${arg_SOURCES})
    target_include_directories(postern_${name} PUBLIC ${root})
    target_link_libraries(postern_${name} PUBLIC ${arg_DEPENDS} Threads::Threads
                          PRIVATE ${arg_LIBRARIES})
  else()
    add_library(postern_${name} INTERFACE)
    target_include_directories(postern_${name} INTERFACE ${root})
    target_link_libraries(postern_${name} INTERFACE ${arg_DEPENDS})
  endif()
endfunction()

# postern_test(NAME SOURCES … [DEPENDS …] [LIBRARIES …] [LABELS …] [TIMEOUT seconds])
#
# One GoogleTest binary; every TEST in it is a ctest of its own, named NAME.Suite.Test.
function(postern_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  list(TRANSFORM arg_DEPENDS PREPEND postern_)
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} ${arg_LIBRARIES} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()
