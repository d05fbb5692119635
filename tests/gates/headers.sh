#!/bin/bash
# The header check: each of <cairn/...> compiles alone in both languages with both compilers; others do not.
. "$(dirname "$0")/lib.bash"

must_pass "include/" "$scripts/check-headers" "$source_dir/include"

bad() {
    mkdir -p "$work/include/cairn"
    printf '%s\n' "$3" >"$work/include/cairn/bad.h"
    must_fail "$1" "cairn/bad.h: does not compile alone as .*$2" "$scripts/check-headers" "$work/include"
}
bad "a type that was not included" 'c11 with gcc' 'size_t f(void);'
bad "no include guard" 'c11 with clang' 'enum { ONE = 1 };'
bad "a keyword of C++" 'c\+\+17 with gcc' $'#pragma once\nint f(int class);'
bad "a GNU extension" 'c11 with gcc' $'#pragma once\nstruct s { int n; struct {} none; };'
rm "$work/include/cairn/bad.h"
printf '%s\n' '#pragma once' 'inline void f() { throw 1; }' >"$work/include/cairn/bad.hpp"
must_fail "a throw where there are no exceptions" 'cairn/bad.hpp: does not compile alone as c\+\+17 .*-fno-exceptions' \
    "$scripts/check-headers" "$work/include"
must_pass "compat/pmemcto" "$scripts/check-headers" "$source_dir/compat/pmemcto/include"
