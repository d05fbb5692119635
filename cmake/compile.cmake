# Warnings and code generation, as interface targets: cairn-warnings for all code, cairn-codegen for the
# library's own sources, cairn-sanitize for everything in a sanitizer build.

set(cairn_warnings_all
    -Wall
    -Wextra
    -Wshadow
    -Wundef
    -Wvla
    -Wformat=2
    -Wpointer-arith
    -Wcast-qual
    -Wwrite-strings
    -Wredundant-decls)
set(cairn_warnings_c -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition)
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
    list(APPEND cairn_warnings_all -Wlogical-op -Wduplicated-cond)
    # It takes what follows a failed cmocka assertion, which never happens, for reachable.
    set(cairn_warnings_tests -Wno-maybe-uninitialized)
else()
    set(cairn_warnings_tests "")
endif()
if(CAIRN_WERROR)
    list(APPEND cairn_warnings_all -Werror)
endif()

add_library(cairn-warnings INTERFACE)
target_compile_options(cairn-warnings INTERFACE ${cairn_warnings_all} "$<$<COMPILE_LANGUAGE:C>:${cairn_warnings_c}>")

# The flags in a file, so that tests/gates can show that they reject what they should.
string(JOIN "\n" text ${cairn_warnings_all} ${cairn_warnings_c})
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/warning-flags CONTENT "${text}\n")

add_library(cairn-codegen INTERFACE)
target_compile_options(
    cairn-codegen
    INTERFACE
        -fvisibility=hidden # only what <cairn/*.h> marks leaves the library
        -fno-strict-aliasing # memory changes its type at every allocation
        -fno-semantic-interposition # calls between our own functions are direct
        -fno-plt # calls to libc go through one indirect call, not two
        # Or the compiler would turn our malloc + memset into a call of calloc, which is us again.
        -fno-builtin-malloc
        -fno-builtin-calloc
        -fno-builtin-realloc
        -fno-builtin-free
        -fno-builtin-aligned_alloc
        -fno-builtin-posix_memalign
        -fno-builtin-memalign
        -fno-builtin-strdup
        -fno-builtin-strndup)
target_compile_definitions(cairn-codegen INTERFACE ${CAIRN_DEFINES})

add_library(cairn-sanitize INTERFACE)
if(cairn_sanitizers)
    set(flags -fsanitize=${cairn_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    string(JOIN "\n" text ${flags})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/sanitizer-flags CONTENT "${text}\n") # for tests/gates, too
    target_compile_options(cairn-sanitize INTERFACE ${flags})
    target_link_options(cairn-sanitize INTERFACE ${flags})
    # For code that must know, e.g. a test whose misuse the sanitizer would report first.
    target_compile_definitions(cairn-sanitize INTERFACE CAIRN_SANITIZED=1)
    if(CAIRN_FUZZ)
        target_compile_options(cairn-sanitize INTERFACE -fsanitize=fuzzer-no-link)
    endif()
endif()
