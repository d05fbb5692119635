#!/bin/bash
# GCC: one C++ file full of templates and one C file full of macros, from source to assembler.
source "$(dirname "$0")/common.bash"

need g++ g++
need gcc gcc
temporary_directory

# compile COMPILER UNIT COPIES: a main file includes the unit several times, under another name each time.
compile() {
    local main=main.${2##*.} i
    for ((i = 1; i <= $3; i++)); do
        printf '#define UNIT unit%d\n#include "%s"\n#undef UNIT\n' "$i" "$2"
    done >"$tmp/$main"
    (cd "$tmp" && measured "$1" -O2 -S -I "$inputs" "${small[@]}" -o "$main.s" "$main")
    echo "$main $(cksum <"$tmp/$main.s")"
}

# One copy in C++ is two seconds or more: small scales take part of it.
small=()
(($(scaled 100) >= 50)) || small=(-DSMALL)

compile g++ cc1-unit.cpp "$(scaled 1)"
compile gcc cc1-unit.c "$(scaled 2)"
