#!/bin/bash
# Allegro 5, a library whose every allocation goes through an interface that can be set: a program on it, plain; with Cairn
# installed by <cairn/allegro.h>; and unchanged, with the adapter preloaded.  The output and the files are the same each
# time.  The program with Cairn checks that the library's blocks are live where they should be, and gone at the end; the
# preloaded one's are listed at its exit.
source "$(dirname "$0")/common.bash"

build=$(dirname "$library")
need pkg-config pkg-config
pkg-config --exists allegro-5 allegro_memfile-5 || fail "Allegro is missing: install the package liballegro5-dev"
read -ra flags < <(pkg-config --cflags --libs allegro-5 allegro_memfile-5)
source=$here/allegro/program.c
warnings=(-std=gnu11 -O1 -g -Wall -Wextra -Werror)
unset DISPLAY WAYLAND_DISPLAY

compile() { # NAME OPTION...
    local out=$tmp/$1
    shift
    gcc "${warnings[@]}" -o "$out" "$source" "$@" || fail "does not compile: $out"
}
compile plain "${flags[@]}"
for with in cairn cairn-local; do
    compile "with-$with" -DWITH_CAIRN "-I$here/../../include" "${flags[@]}" "-L$build" "-l$with" "-Wl,-rpath,$build"
done

ran() { # NAME COMMAND...: its directory is $tmp/ran-NAME
    local into=$tmp/ran-$1
    shift
    run_in "$into" "$@"
    [[ $(<"$into/status") == 0 ]] || { tail -n 30 "$into"/std*; fail "status $(<"$into/status"): $*"; }
}
same() { # NAME: its output and files are those of the plain run
    diff "$tmp/ran-plain/stdout" "$tmp/ran-$1/stdout" || fail "$1: the output differs"
    diff -r "$tmp/ran-plain/files" "$tmp/ran-$1/files" || fail "$1: the files differ"
}

ran plain "$tmp/plain" .
[[ $(wc -l <"$tmp/ran-plain/stdout") == 12 && -s $tmp/ran-plain/files/config.ini ]] || fail "the program did too little"
for with in cairn cairn-local; do
    ran "$with" "$tmp/with-$with" .
    same "$with"
    echo "$name: linked with lib$with: $(head -n 1 "$tmp/ran-$with/stderr"); $(sed -n 2p "$tmp/ran-$with/stderr")"
done

adapter=$build/libcairn-allegro-adapter.so
ran adapter "LD_PRELOAD=$adapter" "CAIRN_CONF=hook_leaks:exit" "$tmp/plain" .
same adapter
grep -q '^cairn: [0-9]* blocks with [0-9]* bytes are live' "$tmp/ran-adapter/stderr" || fail "nothing is listed at exit"
# What is listed is a list of drivers that Allegro never frees, by its place in the library's sources.
places=$(grep -v -e '^cairn: ' -e ' place$' "$tmp/ran-adapter/stderr" || true)
! grep -v '\.c:[0-9]* (_al_system_' <<<"$places" | grep . || fail "other blocks are left"

# Every allocation of the library was seen: with all of them failing, it cannot even start.
run_in "$tmp/ran-failing" "LD_PRELOAD=$adapter" "CAIRN_CONF=hook_fault_every:1" "$tmp/plain" .
[[ $(<"$tmp/ran-failing/status") != 0 ]] || fail "the library does not go through the adapter"
grep -q '^cairn: faults: .*alloc of [0-9]* bytes at .*\.c:[0-9]* (.*) fails' "$tmp/ran-failing/stderr" ||
    fail "no allocation of the library failed"

ran no-allegro "LD_PRELOAD=$adapter" true
echo "$name: passed"
