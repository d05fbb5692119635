# What can be set from outside, and what follows from it.

set(CAIRN_SANITIZE "" CACHE STRING "Sanitizers to build with: empty, address,undefined or thread")
option(CAIRN_FUZZ "Build the libFuzzer harnesses of tests/fuzz (needs clang)" OFF)
option(CAIRN_WERROR "Treat warnings as errors" ON)
set(CAIRN_DEFINES "" CACHE STRING "Extra definitions for the library's sources, e.g. of a build level")
set(CAIRN_VARIANT "" CACHE STRING "Prefix and label of this build's tests: empty, asan, tsan, clang or fuzz")
set(CAIRN_TEST_FOLDERS
    "unit;api;stress;abuse;fault;programs;command;gates"
    CACHE STRING "Folders of tests/ that this build runs")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

if(CAIRN_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "CAIRN_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang")
    endif()
    set(cairn_sanitizers "address,undefined")
else()
    set(cairn_sanitizers "${CAIRN_SANITIZE}")
endif()

# A sanitizer owns malloc.  Such a build has no shared library, no command and no standard names: its tests
# link the same sources as an archive and call the cairn_ names.
if(cairn_sanitizers)
    set(CAIRN_PRODUCTS OFF)
else()
    set(CAIRN_PRODUCTS ON)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Programs and libraries in the top of the build directory, where scripts look for them.
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
