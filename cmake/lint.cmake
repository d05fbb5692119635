# `make lint` builds the target `tidy`: clang-tidy over the library, the command and compat/, one stamp per source, so
# that only what changed is looked at again.

find_program(CLANG_TIDY NAMES clang-tidy-14 clang-tidy)
if(NOT CLANG_TIDY OR NOT CAIRN_PRODUCTS)
    return()
endif()

file(GLOB_RECURSE internal_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.h)
set(stamps "")
foreach(source IN LISTS cairn_sources command_sources compat_sources)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE name)
    set(stamp ${CMAKE_BINARY_DIR}/tidy/${name}.stamp)
    cmake_path(GET stamp PARENT_PATH folder)
    add_custom_command(
        OUTPUT ${stamp}
        COMMAND ${CLANG_TIDY} --quiet -p ${CMAKE_BINARY_DIR} ${source}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
        DEPENDS ${source} ${internal_headers} ${cairn_headers} ${CMAKE_SOURCE_DIR}/.clang-tidy
                ${generated_folder}/pprof.pb-c.h
        VERBATIM
        COMMENT "clang-tidy ${name}")
    list(APPEND stamps ${stamp})
endforeach()
add_custom_target(tidy DEPENDS ${stamps})

# clang-tidy runs once per entry of compile_commands.json: each source is to have one.
set_target_properties(cairn-internal PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
