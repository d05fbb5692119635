#!/bin/bash
# timeout: 240
# The API tests of the process heap, their allocations failing in turn.  Each run ends as a test does: passed, or failed by a
# check of its own, as the block was not there.  No run is killed by a signal, aborted by the heap's own checks or hangs.
# The numbers that fail get sparser, so that tests with a hundred thousand allocations are through in seconds, too.
source "$(dirname "$0")/common.bash"

build=$(dirname "$library")
tests=$here/../../tests

wraps=()
for call in malloc calloc realloc reallocarray aligned_alloc strdup free; do
    wraps+=("-Wl,--wrap=$call,--wrap=cairn_$call")
done

inject() { # TEST
    local nth=1 status runs=0 refused=0
    gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -w "-I$tests" "-I$tests/../include" "${wraps[@]}" -o "$tmp/$1" \
        "$tests/api/$1.c" "$here/injected/hooked.c" "-L$build" -lcairn -lcmocka "-Wl,-rpath,$build" ||
        fail "$1 does not compile"
    timeout 60 "$tmp/$1" >"$tmp/out" 2>&1 || { tail "$tmp/out"; fail "$1 fails with nothing injected"; }
    while true; do
        status=0
        CAIRN_CONF=hook_fault_nth:$nth timeout 60 "$tmp/$1" >"$tmp/out" 2>&1 || status=$?
        runs=$((runs + 1))
        grep -q "^cairn: faults: .* the $nth\. allocation" "$tmp/out" || break # there are not so many
        refused=$((refused + (status != 0)))
        # cmocka's status is the number of tests that failed; 1 that of a check in a task or thread.
        if ((status >= 100)) || grep -Eiq '^cairn: [a-z_]+: .* 0x|exception' "$tmp/out"; then
            tail -n 20 "$tmp/out"
            fail "$1: status $status with allocation $nth failing"
        fi
        nth=$((nth + 1 + nth * step / 12))
    done
    ((status == 0)) || fail "$1: status $status with nothing left to fail"
    ((refused > 0)) || fail "$1: no failure was ever noticed"
    echo "$name: $1: $runs runs, up to allocation $nth, $refused with a check that failed"
}

if [[ ${CAIRN_TEST_LONG:-} == 1 ]]; then
    step=1 all=(test_aligned test_sized test_alloc test_calloc test_realloc test_life)
else
    step=12 all=(test_aligned)
fi
for test in "${all[@]}"; do
    inject "$test"
done
echo "$name: passed"
