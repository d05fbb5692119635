# The cairn command: public headers only, so it links libcairn-local and leaves its own malloc alone.

file(GLOB command_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.c)
if(NOT command_sources)
    return()
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(DWARF REQUIRED IMPORTED_TARGET libdw libelf)
find_program(PROTOC_C protoc-c REQUIRED)

# The reader of profiles, from their description.
set(generated_folder ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${generated_folder})
add_custom_command(
    OUTPUT ${generated_folder}/pprof.pb-c.c ${generated_folder}/pprof.pb-c.h
    COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/src/cli --c_out=${generated_folder}
            ${CMAKE_SOURCE_DIR}/src/cli/pprof.proto
    DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/pprof.proto
    VERBATIM)
set_source_files_properties(${generated_folder}/pprof.pb-c.c PROPERTIES COMPILE_OPTIONS -w)

# `cairn run` finds libcairn.so from where it is installed itself.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE
           library_folder)

add_executable(cairn-command ${command_sources} ${generated_folder}/pprof.pb-c.c)
target_include_directories(cairn-command SYSTEM PRIVATE ${generated_folder})
target_compile_definitions(cairn-command PRIVATE _GNU_SOURCE= "CAIRN_LIBRARY_FOLDER=\"${library_folder}\"")
target_link_libraries(cairn-command PRIVATE cairn-local cairn-warnings PkgConfig::JANSSON PkgConfig::PROTOBUF_C
                                            PkgConfig::ZLIB PkgConfig::DWARF m)
set_target_properties(
    cairn-command
    PROPERTIES OUTPUT_NAME cairn
               RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
               INSTALL_RPATH "$ORIGIN/${library_folder}")
