#!/bin/bash
# timeout: 180
# Pools under valgrind and the address sanitizer: a use after free is caught by both, in every class that is
# announced, nothing else is; and what is said of the process heap under them in docs/tools.md holds.
set -euo pipefail
build=$(cd "$1" && pwd)
source_dir=${CAIRN_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/cairn-tools.XXXXXX")
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
unset LD_PRELOAD CAIRN_CONF

fail() {
    echo "tools.sh: FAILED: $*"
    [[ ! -s $work/err ]] || head -n 30 "$work/err"
    exit 1
}

# gives 0|1 COMMAND...: it succeeds, or fails in any way; what it writes goes to $work/err.
gives() {
    local expected=$1 status=0
    shift
    "$@" >"$work/err" 2>&1 || status=$?
    [[ $((status != 0)) == "$expected" ]] || fail "$*: status $status"
}
says() {
    grep -Eq -- "$1" "$work/err" || fail "does not say: $1"
}

cat >"$work/pool.c" <<'C'
#include <cairn/pool.h>
#include <stdio.h>
#include <string.h>

/* Everything that is allowed, and at the end what the second argument asks for. */
int main(int argc, char **argv)
{
    cairn_pool_config config = {.struct_size = sizeof config, .block_size = 0};
    static char buffer[1 << 20];
    char *blocks[100];
    if (strcmp(argv[1], "fit") == 0)
        config.pool_class = CAIRN_FIT;
    if (strcmp(argv[1], "fixed") == 0)
        config.pool_class = CAIRN_FIXED, config.block_size = 400;
    if (strcmp(argv[1], "buffer") == 0)
        config.buffer = buffer, config.buffer_size = sizeof buffer;
    if (strcmp(argv[1], "marks") == 0)
        config.flags = CAIRN_POOL_MARKS;
    cairn_pool *pool = cairn_pool_create(&config);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++)
            memset(blocks[i] = cairn_pool_malloc(pool, 100), i, 100);
        for (int i = 0; i < 5000; i++) { /* more than the quarantine holds */
            char *block = cairn_pool_malloc(pool, 90);
            memset(block, 1, 90);
            block = cairn_pool_realloc(pool, block, 300);
            if (block[89] != 1)
                return 90;
            block[299] = 2;
            if (i % 2 == 0)
                cairn_pool_free(pool, block);
            else
                cairn_free(block);
        }
        char *zeros = cairn_pool_calloc(pool, 3, 100);
        if (zeros[0] != 0 || zeros[299] != 0 || blocks[99][99] != 99)
            return 91;
        if (round == 0)
            cairn_pool_reset(pool);
    }
    if (cairn_pool_check(pool) != 0 || cairn_usable_size(blocks[5]) < 100)
        return 92;
    cairn_pool_free(pool, blocks[7]);
    if (strcmp(argv[2], "read") == 0)
        printf("%d\n", blocks[7][3]);
    if (strcmp(argv[2], "write") == 0)
        ((volatile char *)blocks[7])[99] = 1;
    if (strcmp(argv[2], "twice") == 0)
        cairn_pool_free(pool, blocks[7]);
    if (strcmp(argv[2], "fresh") == 0 && ((volatile char *)cairn_pool_malloc(pool, 100))[50] == 77)
        printf("undefined\n");
    cairn_pool_destroy(pool);
    memset(buffer, 1, sizeof buffer); /* it is the program's again */
    pool = cairn_pool_create(NULL);   /* and the pages are another pool's */
    for (int i = 0; i < 3000; i++)
        memset(cairn_pool_malloc(pool, 200), 1, 200);
    cairn_pool_destroy(pool);
    return argc == 3 ? 0 : 1;
}
C
link=("$build/libcairn-local.so" "-Wl,-rpath,$build" "-I$source_dir/include")
gcc -g -O1 -Wall -o "$work/pool" "$work/pool.c" "${link[@]}"
gcc -g -O1 -Wall -fsanitize=address -o "$work/pool-asan" "$work/pool.c" "${link[@]}"
valgrind=(valgrind -q --error-exitcode=9)

write=write # for the first
for class in slab marks fit fixed buffer; do
    gives 0 "$work/pool" $class none
    gives 0 "${valgrind[@]}" "$work/pool" $class none
    [[ ! -s $work/err ]] || fail "$class: valgrind complains"
    gives 0 "$work/pool-asan" $class none
    for access in read ${write:-}; do
        gives 1 "${valgrind[@]}" "$work/pool" $class $access
        says "Invalid $access of size 1"
        says "bytes inside a block of size [0-9]+ free'd"
        says "Block was alloc'd at"
        gives 1 "$work/pool-asan" $class $access
        says "AddressSanitizer: use-after-poison"
        says "^${access^^} of size 1"
    done
    write=
    gives 1 "$work/pool-asan" $class twice
    says 'cairn: cairn_pool_free: double free of 0x'
done
gives 1 "${valgrind[@]}" "$work/pool" slab fresh
says 'Conditional jump or move depends on uninitialised value'

# The process heap: valgrind and the sanitizer put their own malloc in the place of Cairn's, and see every misuse.
cat >"$work/heap.c" <<'C'
#include <stdlib.h>
#include <stdio.h>
int main(void)
{
    char *volatile block = calloc(10, 10);
    free(block);
    printf("%d\n", block[50]);
    return 0;
}
C
gcc -g -fno-builtin -w -o "$work/heap" "$work/heap.c"
gcc -g -fno-builtin -w -o "$work/heap-linked" "$work/heap.c" "-L$build" -lcairn "-Wl,-rpath,$build"
gcc -g -fno-builtin -w -fsanitize=address -o "$work/heap-asan" "$work/heap.c" "-L$build" -lcairn "-Wl,-rpath,$build"
gives 1 env LD_PRELOAD="$build/libcairn.so" "${valgrind[@]}" "$work/heap"
says "50 bytes inside a block of size 100 free'd"
gives 1 "${valgrind[@]}" "$work/heap-linked"
says "50 bytes inside a block of size 100 free'd"
gives 1 "$work/heap-asan"
says 'AddressSanitizer: heap-use-after-free'
echo "ok"
