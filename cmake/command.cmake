# The cairn command: public headers only, so it links libcairn-local and leaves its own malloc alone.

file(GLOB command_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.c)
if(NOT command_sources)
    return()
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

# `cairn run` finds libcairn.so from where it is installed itself.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE
           library_folder)

add_executable(cairn-command ${command_sources})
target_compile_definitions(cairn-command PRIVATE _GNU_SOURCE= "CAIRN_LIBRARY_FOLDER=\"${library_folder}\"")
target_link_libraries(cairn-command PRIVATE cairn-local cairn-warnings PkgConfig::JANSSON m)
set_target_properties(
    cairn-command
    PROPERTIES OUTPUT_NAME cairn
               RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
               INSTALL_RPATH "$ORIGIN/${library_folder}")
