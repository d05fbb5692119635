# The loads of bench/: built by `make bench` only, into build/bench/.  Every .c or .cpp file in bench/ and
# bench/loops/ is one program, which calls the standard names, so that LD_PRELOAD decides which allocator it
# measures.  A bench/CMakeLists.txt takes over.

add_custom_target(benches)
if(EXISTS ${CMAKE_SOURCE_DIR}/bench/CMakeLists.txt)
    add_subdirectory(bench EXCLUDE_FROM_ALL)
    return()
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c ${CMAKE_SOURCE_DIR}/bench/*.cpp
     ${CMAKE_SOURCE_DIR}/bench/loops/*.c ${CMAKE_SOURCE_DIR}/bench/loops/*.cpp)
foreach(source IN LISTS bench_sources)
    cmake_path(GET source STEM name)
    add_executable(bench-${name} EXCLUDE_FROM_ALL ${source})
    # The compiler may leave out a malloc whose block is only freed: then nothing would be measured.
    target_compile_options(bench-${name} PRIVATE -fno-builtin)
    target_link_libraries(bench-${name} PRIVATE cairn-headers cairn-warnings m dl)
    set_target_properties(bench-${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY
                                                                       ${CMAKE_BINARY_DIR}/bench)
    add_dependencies(benches bench-${name})
endforeach()
