#!/bin/bash
# The sanitizer and fuzzing builds find what they are there for: with their flags, a program with an overflow, one
# with undefined behaviour, one with a race, and a harness that crashes on a short input all fail.
. "$(dirname "$0")/lib.bash"

# `make test-quick` may run without those builds; `make test` makes them all.
for variant in asan tsan fuzz; do
    if [[ ! -r $build/$variant/sanitizer-flags ]]; then
        echo "nothing to prove: no build in build/$variant"
        exit 0
    fi
done

program() { # COMPILER VARIANT CODE
    printf '%s\n' "$3" >"$work/t.c"
    "$1" -O1 -g "@$build/$2/sanitizer-flags" "${@:4}" -o "$work/t" "$work/t.c"
}

program gcc asan '#include <stdlib.h>
int main(int c, char **v) { char *p = malloc(8); p[6 + c] = v[0][0]; c = p[6 + c] == 1; free(p); return c; }'
must_pass "asan: within a block" "$work/t"
must_fail "asan: behind a block" 'heap-buffer-overflow|insufficient space' "$work/t" argument
program gcc asan 'int main(int c, char **v) { (void)v; int big = 2147483646; big += c; return big == 0; }'
must_pass "ubsan: no overflow" "$work/t"
must_fail "ubsan: an int overflows" 'signed integer overflow' "$work/t" argument

threads='#include <pthread.h>
static int shared, *at = &shared;
static void *go(void *a) { for (int i = 0; i < 10000; i++) STEP; return a; }
int main(void) { pthread_t t; pthread_create(&t, 0, go, 0); go(0); return pthread_join(t, 0); }'
program clang tsan "${threads/STEP/__atomic_fetch_add(at, 1, __ATOMIC_RELAXED)}"
must_pass "tsan: an atomic counter" "$source_dir/tests/run-fixed" "$work/t"
program clang tsan "${threads/STEP/++*at}"
must_fail "tsan: a plain counter" 'data race' "$source_dir/tests/run-fixed" "$work/t"

harness='#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { if (n > 1 && d[0] == 0xa1 && d[1] == BAD) __builtin_trap(); return 0; }'
program clang fuzz "${harness/BAD/d[1] + 1}" -fsanitize=fuzzer
must_pass "fuzzing: nothing to find" env CAIRN_FUZZ_SECONDS=1 "$source_dir/tests/run-fuzz" "$work/t" "$work/none"
program clang fuzz "${harness/BAD/0xb2}" -fsanitize=fuzzer
must_fail "fuzzing: a crash on two bytes" 'deadly signal' \
    env CAIRN_FUZZ_SECONDS=60 "$source_dir/tests/run-fuzz" "$work/t" "$work/none"
