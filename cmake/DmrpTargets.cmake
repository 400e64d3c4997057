# How every target of this project is declared: each library, program, test and fuzz target names its
# sources and dependencies in full, so that the dependency graph can be read off the CMake files.

set(DMRP_SANITIZE "" CACHE STRING "Value of -fsanitize= for the whole build, empty for none")
option(DMRP_FUZZ "Build the libFuzzer targets (clang only)" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(dmrp_options INTERFACE)
target_compile_options(dmrp_options INTERFACE -Wall -Wextra -Wpedantic -Werror)
target_include_directories(dmrp_options INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
if(DMRP_SANITIZE)
  target_compile_options(dmrp_options INTERFACE -fsanitize=${DMRP_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(dmrp_options INTERFACE -fsanitize=${DMRP_SANITIZE})
endif()
if(DMRP_SANITIZE MATCHES "thread")
  # gcc's thread sanitizer does not follow Asio's fences and refuses to compile them.
  target_compile_definitions(dmrp_options INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(dmrp_options INTERFACE -Wno-tsan)
  endif()
endif()
if(DMRP_FUZZ)
  target_compile_options(dmrp_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# dmrp_library(NAME SOURCES file... [DEPENDS target...])
# A static library; headers are included by their path from the project root.
function(dmrp_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC dmrp_options ${ARG_DEPENDS})
endfunction()

# dmrp_program(NAME SOURCES file... [DEPENDS target...])
function(dmrp_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dmrp_options ${ARG_DEPENDS})
endfunction()

# dmrp_test(NAME SOURCES file... [DEPENDS target...] [LABELS label...])
# A GoogleTest program, one ctest entry. Tests that boot a guest carry the label "guest".
function(dmrp_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dmrp_options ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 300)
endfunction()

# dmrp_fuzz(NAME SOURCES file... [DEPENDS target...])
# A libFuzzer target; its seed corpus lies in corpus/NAME beside the source. Built only in the fuzz preset.
function(dmrp_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT DMRP_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE dmrp_options ${ARG_DEPENDS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_property(GLOBAL APPEND PROPERTY DMRP_FUZZ_TARGETS ${name})
endfunction()
