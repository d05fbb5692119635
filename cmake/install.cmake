# `make install PREFIX=…`: the whole of it can be moved afterwards, nothing holds the prefix.

include(CMakePackageConfigHelpers)

install(
    TARGETS cairn cairn-local cairn-static cairn-headers
    EXPORT cairn-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET cairn-command)
    install(TARGETS cairn-command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(FILES docs/cairn.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(FILES ${cairn_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn)
install(FILES share/gdb/cairn.py DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# find_package(cairn): cairn::cairn, cairn::static and cairn::local.
set_target_properties(cairn-static PROPERTIES EXPORT_NAME static)
set_target_properties(cairn-local PROPERTIES EXPORT_NAME local)
set_target_properties(cairn-headers PROPERTIES EXPORT_NAME headers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
install(EXPORT cairn-targets NAMESPACE cairn:: DESTINATION ${package_dir} FILE cairn-config.cmake)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cairn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/cairn-config-version.cmake DESTINATION ${package_dir})

# pkg-config: cairn (standard names too) and cairn-local (cairn_ names only).
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE libdir)
cmake_path(SET up "${libdir}/pkgconfig")
string(REGEX REPLACE "[^/]+" ".." up "${up}")
foreach(library cairn cairn-local)
    configure_file(cmake/cairn.pc.in ${CMAKE_BINARY_DIR}/${library}.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
