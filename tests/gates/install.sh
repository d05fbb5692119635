#!/bin/bash
# timeout: 180
# `make install`: what is put there builds programs by pkg-config and by find_package, shared, static and
# local, also after it has been moved; and the check fails when a part is missing.
. "$(dirname "$0")/lib.bash"

must_pass "cmake --install" cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/prefix"
prefix=$work/prefix
must_pass "the script for gdb" grep -q "cairn what" "$prefix/share/gdb/cairn.py"

mkdir "$work/program"
cat >"$work/program/t.c" <<'C'
#include <cairn/cairn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *p = cairn_malloc(100), *q = malloc(100);
    if (p == NULL || q == NULL)
        return 1;
    strcpy(p, cairn_version());
    puts(p);
    free(q);
    cairn_free(p);
    return 0;
}
C
cat >"$work/program/allegro.c" <<'C'
#include <allegro5/allegro.h>
int main(void)
{
    char *p = al_calloc(3, 5);
    int wrong = p == 0 || p[14] != 0;
    al_free(p);
    return wrong;
}
C
cat >"$work/program/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.16)
project(program C)
find_package(cairn 0.1 REQUIRED)
foreach(kind cairn static local)
    add_executable(with-${kind} t.c)
    target_link_libraries(with-${kind} PRIVATE cairn::${kind})
endforeach()
foreach(kind allegro allegro-static)
    add_executable(with-${kind} allegro.c)
    target_link_libraries(with-${kind} PRIVATE cairn::${kind})
endforeach()
C

by_pkg_config() { # PACKAGE OPTION...
    local flags
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs "$@") || return
    # shellcheck disable=SC2086
    gcc -fno-builtin -o "$work/t" "$work/program/t.c" $flags || return
    LD_LIBRARY_PATH=$prefix/lib "$work/t"
}
by_archive() { # OPTION...: libcairn.a by name
    gcc -fno-builtin "$@" -o "$work/t" "$work/program/t.c" "-I$prefix/include" "$prefix/lib/libcairn.a" || return
    "$work/t"
}
by_find_package() {
    rm -rf "$work/out"
    cmake -S "$work/program" -B "$work/out" -G Ninja "-DCMAKE_PREFIX_PATH=$prefix" || return
    cmake --build "$work/out" || return
    "$work/out/with-cairn" && "$work/out/with-static" && "$work/out/with-local" &&
        "$work/out/with-allegro" && "$work/out/with-allegro-static"
}
preloaded() {
    LD_PRELOAD=$prefix/lib/libcairn.so sed -n 1p "$work/program/t.c"
}

must_pass "pkg-config cairn" by_pkg_config cairn
must_pass "pkg-config cairn-local" by_pkg_config cairn-local
must_pass "libcairn.a" by_archive
must_pass "libcairn.a, position dependent" by_archive -no-pie
must_pass "libcairn.a in a static program" by_archive -static
must_pass "find_package" by_find_package
must_pass "LD_PRELOAD" preloaded
if [[ -x $prefix/bin/cairn ]]; then
    must_pass "the command finds its library" "$prefix/bin/cairn" --version
fi
[[ $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion cairn) == "$("$work/t")" ]]

# Each compatibility library: its package, shared, and the archive.
compat() { # NAME OPTION...
    local flags name=$1
    shift
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs "cairn-$name") || return
    # shellcheck disable=SC2086
    gcc -o "$work/t-$name" "$work/program/$name.c" "$@" $flags || return
    LD_LIBRARY_PATH=$prefix/lib "$work/t-$name"
}
must_pass "pkg-config cairn-allegro" compat allegro
must_pass "libcairn-allegro.a" compat allegro "-I$prefix/include/cairn-compat/allegro" "-I$prefix/include" \
    "$prefix/lib/libcairn-allegro.a"

must_fail "a symbol that our map does not have" 'undefined reference' \
    gcc -fno-builtin -Dcairn_version=cairn_verse -w -o "$work/t" "$work/program/t.c" "-I$prefix/include" "-L$prefix/lib" -lcairn
rm "$prefix"/lib/libcairn-local.so*
must_fail "a library is missing: find_package" 'libcairn-local|cairn::local' by_find_package
must_fail "a library is missing: pkg-config" 'cannot find -lcairn-local' by_pkg_config cairn-local
rm "$prefix/include/cairn/cairn.h"
must_fail "a header is missing" 'cairn/cairn.h' by_pkg_config cairn
rm "$prefix/lib/pkgconfig/cairn.pc"
must_fail "the package file is missing" 'cairn.pc|not found' by_pkg_config cairn
