# From the sources to the libraries.
#
#   cairn-objects         every layer; position independent, initial-exec TLS          -> libcairn.so, libcairn.a
#   cairn-local-objects   without the files that define standard names, CAIRN_LOCAL=1  -> libcairn-local.so,
#                         general TLS                                                     libcairn-internal.a
#
# libcairn-internal.a keeps its internals visible: unit tests, and every test of a sanitizer build, link it.

set(cairn_layers base os source engine pool persist observe front)
set(globs "")
foreach(layer IN LISTS cairn_layers)
    list(APPEND globs ${CMAKE_SOURCE_DIR}/src/${layer}/*.c)
endforeach()
file(GLOB cairn_sources CONFIGURE_DEPENDS ${globs})

# The files that define malloc, operator new and their like.
set(cairn_standard_sources ${CMAKE_SOURCE_DIR}/src/front/malloc.c ${CMAKE_SOURCE_DIR}/src/front/operators.c)
set(cairn_local_sources ${cairn_sources})
list(REMOVE_ITEM cairn_local_sources ${cairn_standard_sources})

file(GLOB cairn_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/cairn/*.h ${CMAKE_SOURCE_DIR}/include/cairn/*.hpp)

add_library(cairn-headers INTERFACE)
target_include_directories(cairn-headers INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

add_library(cairn-internal STATIC ${cairn_local_sources})
target_include_directories(cairn-internal PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(cairn-internal PUBLIC CAIRN_LOCAL=1)
target_link_libraries(cairn-internal PUBLIC cairn-headers cairn-sanitize PRIVATE cairn-warnings cairn-codegen)
set_target_properties(cairn-internal PROPERTIES POSITION_INDEPENDENT_CODE ON LINKER_LANGUAGE C)

if(NOT CAIRN_PRODUCTS)
    return()
endif()

# A library may be unloaded while its blocks are in use and its thread destructors are registered: nodelete.
# `now` costs nothing where -fno-plt has made every binding eager.
set(cairn_link_options
    -Wl,-Bsymbolic-functions
    -Wl,-z,relro
    -Wl,-z,now
    -Wl,-z,nodelete
    -Wl,-z,text
    -Wl,--no-undefined
    -Wl,--as-needed
    -Wl,--exclude-libs,ALL
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/front/exports.map)

function(cairn_shared_library name objects)
    add_library(${name} SHARED $<TARGET_OBJECTS:${objects}>)
    target_link_libraries(${name} PUBLIC cairn-headers)
    target_link_options(${name} PRIVATE ${cairn_link_options})
    set_target_properties(
        ${name}
        PROPERTIES VERSION ${PROJECT_VERSION}
                   SOVERSION ${PROJECT_VERSION_MAJOR}
                   LINKER_LANGUAGE C
                   LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/front/exports.map)
endfunction()

add_library(cairn-objects OBJECT ${cairn_sources})
target_include_directories(cairn-objects PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(cairn-objects PRIVATE cairn-headers cairn-warnings cairn-codegen)
# initial-exec: a thread's cache is one load away.  The library asks for so little of it (tests/gates checks)
# that it can still be loaded late.
target_compile_options(cairn-objects PRIVATE -ftls-model=initial-exec)
set_target_properties(cairn-objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
set_source_files_properties(
    ${cairn_standard_sources} PROPERTIES COMPILE_OPTIONS "-fno-builtin;-fexceptions" # operator new throws
)

cairn_shared_library(cairn cairn-objects)
# Before the constructors of other libraries: then its fork handlers are the outermost (src/front/process.c).
target_link_options(cairn PRIVATE -Wl,-z,initfirst)
cairn_shared_library(cairn-local cairn-internal)

# libcairn.a: one object, in which every name but the public ones is local.
set(cairn_relocatable ${CMAKE_BINARY_DIR}/cairn.o)
add_custom_command(
    OUTPUT ${cairn_relocatable}
    COMMAND ${CMAKE_LINKER} -r -o ${cairn_relocatable} $<TARGET_OBJECTS:cairn-objects>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${cairn_relocatable}
    DEPENDS cairn-objects $<TARGET_OBJECTS:cairn-objects>
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Joining the objects of libcairn.a")
add_library(cairn-static STATIC ${cairn_relocatable})
set_source_files_properties(${cairn_relocatable} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(cairn-static PROPERTIES OUTPUT_NAME cairn LINKER_LANGUAGE C)
target_link_libraries(cairn-static PUBLIC cairn-headers)
