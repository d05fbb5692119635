# Shared by injected*.sh; sourced by them, not run.  NAME.sh BUILD_DIR
#
# A test of tests/api runs again and again, each time with another of its allocations failing: all of those that its own
# code makes through malloc, operator new and the cairn_ names.  Each run ends as a test does: passed, or failed by a check
# of its own, as the block was not there; in C++ by std::bad_alloc that nobody catches.  None is killed by another signal,
# aborted by the heap's own checks, or hangs.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C
unset LD_PRELOAD CAIRN_CONF CAIRN_TEST_SCALE

[[ $# == 1 ]] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
name=$(basename "$0" .sh)
build=$(cd "$1" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/cairn-test-$name.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
export CAIRN_BUILD_DIR=$build
tried=0

fail() {
    tail -n 20 "$tmp/out"
    echo "$name: FAILED: $*" >&2
    exit 1
}

# run TEST NUMBER: its status; what it says is in $tmp/out.
run() {
    local status=0
    (CAIRN_TEST_LONG='' CAIRN_CONF=faults:$2,faults_library:$1 exec timeout 300 "$build/tests/api/$1") \
        >"$tmp/out" 2>&1 </dev/null || status=$?
    echo "$status"
}

# inject TEST SECONDS STEP: every allocation in turn for so many seconds, and the first ten in any case; then every one that
# is a STEP-th part further than the last, to the end: tests repeat themselves in loops of many thousands.
inject() {
    local test=$1 nth=1 runs=0 refused=0 dense=0 status begin=$SECONDS
    [[ -x $build/tests/api/$test ]] || fail "$test is not built"
    [[ $(run "$test" 0) == 0 ]] || fail "$test fails with nothing injected"
    while true; do
        status=$(run "$test" "$nth")
        grep -q "^cairn: faults: .* fails, the $nth\. allocation" "$tmp/out" || break # there are not so many
        runs=$((runs + 1)) refused=$((refused + (status != 0)))
        # cmocka's status is the number of tests that failed; 1 that of a check in a task or thread.
        if ((status >= 100)) && ! { ((status == 134)) && grep -q "^terminate called.*'std::bad_alloc'" "$tmp/out"; } ||
            grep -Eq '^cairn: [a-z_]+: .* 0x|Test failed with exception' "$tmp/out"; then
            fail "$test: status $status with allocation $nth failing"
        fi
        if ((nth < 10 || SECONDS - begin < $2)); then
            dense=$nth nth=$((nth + 1))
        else
            nth=$((nth + 1 + nth / $3))
        fi
    done
    ((status == 0)) || fail "$test: status $status with nothing left to fail"
    ((runs > 0)) || fail "$test: nothing failed"
    tried=$((tried + runs))
    echo "$name: $test: $runs allocations failed, all of the first $dense, $refused were noticed by a check; $((SECONDS - begin)) s"
}

passed() {
    echo "$name: passed, $tried allocations failed"
}
