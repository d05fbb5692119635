# The compatibility libraries: every folder compat/NAME becomes libcairn-NAME.so and libcairn-NAME.a.
#
#   compat/NAME/*.c             its sources; they see <cairn/...> and the folder's own headers, nothing of src/
#   compat/NAME/include/        what its users include; installed as include/cairn-compat/NAME/
#   compat/NAME/exports.map     which names leave the shared library
#   compat/NAME/adapter/*.c     if there: libcairn-NAME-adapter.so, for LD_PRELOAD beside the real NAME
#
# Each gives the targets cairn-NAME and cairn-NAME-static, installed as cairn::NAME and cairn::NAME-static, and
# a pkg-config package cairn-NAME.  They use libcairn-local, so they leave malloc alone; in a program that has
# libcairn.so too, all of them find that one's heap.
#
# A test says `// compat: NAME` in its first lines to be linked with it (tests/CMakeLists.txt).  In a
# sanitizer build there is the archive only, over libcairn-internal.a.

# compat_sources and compat_headers are for cmake/lint.cmake.
set(compat_names "")
set(compat_sources "")
file(GLOB compat_folders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/compat/*/exports.map)
foreach(map IN LISTS compat_folders)
    cmake_path(GET map PARENT_PATH folder)
    cmake_path(GET folder FILENAME name)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
    list(APPEND compat_names ${name})
    list(APPEND compat_sources ${sources})

    # The headers and what stands below, by themselves: both forms of the library use them.
    add_library(cairn-${name}-headers INTERFACE)
    target_include_directories(
        cairn-${name}-headers INTERFACE $<BUILD_INTERFACE:${folder}/include>
                                        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/cairn-compat/${name}>)
    target_link_libraries(cairn-${name}-headers INTERFACE cairn-headers)

    add_library(cairn-${name}-static STATIC ${sources})
    target_link_libraries(cairn-${name}-static PUBLIC cairn-${name}-headers PRIVATE $<BUILD_INTERFACE:cairn-warnings>)
    target_compile_definitions(cairn-${name}-static PRIVATE _GNU_SOURCE=)
    set_target_properties(
        cairn-${name}-static PROPERTIES OUTPUT_NAME cairn-${name} EXPORT_NAME ${name}-static
                                        POSITION_INDEPENDENT_CODE ON)
    if(NOT CAIRN_PRODUCTS)
        add_library(cairn-${name}-face INTERFACE) # the archive without the internal include path
        target_link_libraries(cairn-${name}-static PRIVATE cairn-sanitize)
        target_link_libraries(cairn-${name}-face INTERFACE cairn-${name}-static $<LINK_ONLY:cairn-internal> cairn-sanitize)
        set_target_properties(cairn-${name}-static PROPERTIES EXCLUDE_FROM_ALL ON)
        continue()
    endif()
    target_link_libraries(cairn-${name}-static PUBLIC cairn-local)

    add_library(cairn-${name} SHARED ${sources})
    target_link_libraries(cairn-${name} PUBLIC cairn-${name}-headers cairn-local
                                        PRIVATE $<BUILD_INTERFACE:cairn-warnings>)
    target_compile_definitions(cairn-${name} PRIVATE _GNU_SOURCE=)
    target_link_options(
        cairn-${name} PRIVATE -Wl,-z,relro -Wl,-z,now -Wl,--no-undefined -Wl,--as-needed -Wl,--version-script=${map})
    set_target_properties(
        cairn-${name}
        PROPERTIES EXPORT_NAME ${name}
                   VERSION ${PROJECT_VERSION}
                   SOVERSION ${PROJECT_VERSION_MAJOR}
                   LINK_DEPENDS ${map}
                   EXPORT_COMPILE_COMMANDS OFF # clang-tidy looks at each source once, as part of the archive
                   INSTALL_RPATH "$ORIGIN")
    set_target_properties(cairn-${name}-headers PROPERTIES EXPORT_NAME ${name}-headers)

    install(
        TARGETS cairn-${name} cairn-${name}-static cairn-${name}-headers
        EXPORT cairn-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(DIRECTORY ${folder}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn-compat/${name})
    file(GLOB adapter_sources CONFIGURE_DEPENDS ${folder}/adapter/*.c)
    if(adapter_sources)
        add_library(cairn-${name}-adapter SHARED ${adapter_sources})
        target_link_libraries(cairn-${name}-adapter PRIVATE cairn-${name}-headers cairn-local
                                                            $<BUILD_INTERFACE:cairn-warnings>)
        target_compile_definitions(cairn-${name}-adapter PRIVATE _GNU_SOURCE=)
        target_compile_options(cairn-${name}-adapter PRIVATE -fvisibility=hidden)
        target_link_options(cairn-${name}-adapter PRIVATE -Wl,-z,relro -Wl,-z,now -Wl,--no-undefined)
        set_target_properties(cairn-${name}-adapter PROPERTIES INSTALL_RPATH "$ORIGIN")
        install(TARGETS cairn-${name}-adapter LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
        list(APPEND compat_sources ${adapter_sources})
    endif()

    configure_file(cmake/compat.pc.in ${CMAKE_BINARY_DIR}/cairn-${name}.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/cairn-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
