#!/bin/bash
# timeout: 180
# `cairn replay`: a trace on Cairn, on the system's allocator and on others, with its threads and its order.
. "$(dirname "$0")/lib.bash"

# Blocks made by one thread and resized and freed by another, threads that live shortly, and large blocks.
cat >"$work/hand.c" <<'C'
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
enum { SLOTS = 64, COUNT = 20000 };
static _Atomic(void *) ring[SLOTS];
static void *makes(void *unused)
{
    for (int i = 0; i < COUNT; i++) {
        void *block = malloc(16 + i % 2000), *empty = NULL;
        while (!atomic_compare_exchange_weak(&ring[i % SLOTS], &empty, block))
            empty = NULL;
    }
    return unused;
}
static void *frees(void *unused)
{
    for (int i = 0; i < COUNT; i++) {
        void *block;
        while ((block = atomic_exchange(&ring[i % SLOTS], NULL)) == NULL) {}
        free(i % 10 == 0 ? realloc(block, 3000) : block);
    }
    return unused;
}
static void *shortly(void *unused)
{
    free(malloc(100));
    return unused;
}
int main(void)
{
    pthread_t threads[2], thread;
    pthread_create(&threads[0], NULL, makes, NULL);
    pthread_create(&threads[1], NULL, frees, NULL);
    for (int i = 0; i < 30; i++) {
        pthread_create(&thread, NULL, shortly, NULL);
        pthread_join(thread, NULL);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    memset(malloc(40 << 20), 1, 40 << 20);
    return 0;
}
C
gcc -O1 -fno-builtin -w -pthread -o "$work/hand" "$work/hand.c"

trace=$work/hand.trace
command_gives 0 trace -o "$trace" "$work/hand"
command_gives 0 replay --rounds 2 --json "$work/json" "$trace"
grep -Eq "^$trace: 4[0-9],[0-9]{3} operations in 33 threads, 40\.[0-9] MiB live at most; medians of 2 rounds\$" \
    "$work/out" || fail "heading"
grep -Eq '^ +time +ratio +CPU time +peak memory +ratio +left at end$' "$work/out" || fail "columns"
grep -Eq '^  Cairn +[0-9.]+ m?s +1\.00 +[0-9.]+ m?s +[45][0-9]\.[0-9] MiB +1\.00 +[45][0-9]\.[0-9] MiB$' "$work/out" ||
    fail "Cairn's row"
grep -Eq '^  system +[0-9.]+ m?s ' "$work/out" || fail "the system's row"
! grep -Eq 'Left out|Presumed|Failed' "$work/out" || fail "a whole trace is not replayed as a whole"
holds '[a["name"] for a in r["allocators"]] == ["Cairn", "system"]'
holds '"libcairn.so" in r["allocators"][0]["malloc"] and "libc.so" in r["allocators"][1]["malloc"]'
holds 'all(len(a["rounds"]) == 2 and a["wall_seconds"] > 0 for a in r["allocators"])'
holds 'all(40 << 20 <= a["peak_bytes"] < 52 << 20 for a in r["allocators"])'
holds 'r["threads"] == 33 and r["unknown_frees"] == 0 and 1 <= r["left_blocks"] < 50'

# Nothing is touched, so there is less memory; one more allocator; only JSON.
command_gives 0 replay --rounds 1 --touch none --json - "$trace"
cp "$work/out" "$work/json"
holds 'all(a["peak_bytes"] < 30 << 20 for a in r["allocators"])'
cat >"$work/other.c" <<'C'
#include <stddef.h>
#include <string.h>
static char heap[512 << 20], *at = heap;
void *malloc(size_t size)
{
    size_t *block = (size_t *)__atomic_fetch_add(&at, (size + 31) / 16 * 16, __ATOMIC_RELAXED);
    block[1] = size;
    return block + 2;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    size_t old = block != NULL ? ((size_t *)block)[-1] : 0;
    return old > 0 ? memcpy(fresh, block, old < size ? old : size) : fresh;
}
int posix_memalign(void **out, size_t alignment, size_t size)
{
    char *block = malloc(size + alignment);
    *out = block + (alignment - (size_t)block % alignment) % alignment;
    return 0;
}
C
gcc -O1 -fno-builtin -w -shared -fPIC -o "$work/other.so" "$work/other.c"
command_gives 0 replay --rounds 1 --preload "$work/other.so" --json "$work/json" "$trace"
grep -Eq '^  other\.so +[0-9]' "$work/out" || fail "the third row"
holds 'r["allocators"][2]["malloc"].endswith("/other.so")'
holds 'r["allocators"][2]["peak_bytes"] > r["allocators"][0]["peak_bytes"] + (10 << 20)' # it frees nothing
command_gives 125 replay --rounds 1 --preload "$work/nosuch.so" "$trace"
says 'nosuch.so was not loaded'

# A limit makes calls fail; CAIRN_CONF is for Cairn's row alone.
command_gives 0 replay --rounds 1 --conf limit:16M --json "$work/json" "$trace"
grep -q 'Failed: 1 calls on Cairn' "$work/out" || fail "no word of the failed call"
holds '[a["rounds"][0]["failed"] for a in r["allocators"]] == [1, 0]'

# A trace that does not begin with the program, and one that is cut.
command_gives 2 replay
says 'which trace'
command_gives 2 replay "$trace" "$trace"
says 'one trace only'
command_gives 2 replay --rounds 0 "$trace"
command_gives 2 replay --touch some "$trace"
says 'pages, all or none'
head -c $(($(stat -c %s "$trace") / 2)) "$trace" >"$work/cut"
command_gives 0 replay --rounds 1 "$work/cut"
says 'ends in the middle of a chunk'
command_gives 125 replay "$work/hand"
says 'is no trace'
echo "ok"
