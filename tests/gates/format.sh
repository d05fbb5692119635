#!/bin/bash
# The format check: the sources pass, and what clang-format would change is found.
. "$(dirname "$0")/lib.bash"

must_pass "the sources" "$scripts/check-format"

export CAIRN_ROOT=$work
mkdir -p "$work/src"
cp "$source_dir/.clang-format" "$work"
printf 'int f(int a)\n{\n    return a;\n}\n' >"$work/src/a.c"
must_pass "a formatted function" "$scripts/check-format"
printf 'int f( int a ) {\n  return a; }\n' >"$work/src/a.c"
must_fail "another style" 'code should be clang-formatted' "$scripts/check-format"
must_pass "--fix" "$scripts/check-format" --fix
must_pass "the same after --fix" "$scripts/check-format"
