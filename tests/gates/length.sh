#!/bin/bash
# The length check only warns, but it does warn.
. "$(dirname "$0")/lib.bash"

export CAIRN_ROOT=$work
mkdir -p "$work/src" "$work/include" "$work/tests" "$work/bench"
seq 700 >"$work/src/fits.c"
seq 701 >"$work/src/long.c"
must_pass "the check" "$scripts/check-length"
[[ $("$scripts/check-length") == "warning: src/long.c has 701 lines, more than 700" ]]
