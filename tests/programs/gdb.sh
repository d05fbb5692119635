#!/bin/bash
# timeout: 120
# share/gdb/cairn.py: what it says of addresses in the process heap and in every class of pool, live, free and foreign,
# in a running program and in its core file, and from where a block comes.
set -euo pipefail
build=$(cd "$1" && pwd)
source_dir=${CAIRN_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/cairn-gdb.XXXXXX")
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
unset LD_PRELOAD CAIRN_CONF

fail() {
    echo "gdb.sh: FAILED: $*"
    cat "$work/out"
    exit 1
}
# says NAME TEXT: what was said of the address of that name.
says() {
    grep -A1 -E "^\\\$[0-9]+ = \"$1\"" "$work/out" | grep -Eq -- "^0x[0-9a-f]+: $2\$" || fail "$1: not $2"
}

cat >"$work/program.c" <<'C'
#include <cairn/hooks.h>
#include <cairn/pool.h>
#include <cairn/tools.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

char *small, *small_free, *small_remote, *large, *tracked, *pool_live[5], *pool_free[5];
char stack_variable, *foreign;

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

static cairn_pool *make(int i, const char *name, cairn_pool_class pool_class, unsigned flags)
{
    cairn_pool_config config = {.struct_size = sizeof config, .name = name, .pool_class = pool_class};
    config.flags = flags;
    config.block_size = pool_class == CAIRN_FIXED ? 400 : 0;
    if (i == 4)
        config.buffer = malloc(1 << 18), config.buffer_size = 1 << 18; /* a block of the heap */
    cairn_pool *pool = cairn_pool_create(&config);
    if (pool == NULL)
        abort();
    cairn_pool_malloc(pool, 333);
    pool_live[i] = cairn_pool_malloc(pool, 100);
    pool_free[i] = cairn_pool_malloc(pool, 100);
    cairn_pool_malloc(pool, 10);
    cairn_pool_free(pool, pool_free[i]);
    return pool;
}

__attribute__((noinline)) void look_now(void)
{
    __asm__ volatile("");
}

int main(void)
{
    pthread_t thread;
    small = malloc(100);
    small_free = malloc(100);
    small_remote = malloc(100);
    free(small_free);
    pthread_create(&thread, NULL, free_it, small_remote);
    pthread_join(thread, NULL);
    large = malloc(3 << 20);
    cairn_leaks_start(NULL);
    tracked = cairn_malloc_here(77);
    make(0, "a slab", CAIRN_SLAB, 0);
    make(1, "a fit", CAIRN_FIT, 0);
    make(2, "a fixed", CAIRN_FIXED, 0);
    make(3, "a stack", CAIRN_STACK, 0);
    make(4, "a buffer", CAIRN_FIT, 0);
    foreign = &stack_variable;
    look_now();
    return 0;
}
C
gcc -g -O1 -w -pthread -o "$work/program" "$work/program.c" "-I$source_dir/include" "-L$build" -lcairn "-Wl,-rpath,$build"

names=(small small+99 small_free small_remote large large+3000000 tracked foreign 0 \
    pool_live[{0,1,2,3,4}] pool_live[{0,1,2,3,4}]+50 pool_free[{0,1,2,3,4}])
for name in "${names[@]}"; do
    printf 'print "%s"\ncairn what %s\n' "$name" "$name"
done >"$work/questions"

check() {
    says small 'the process heap, block 0x[0-9a-f]+, live, 112 bytes'
    says 'small\+99' 'the process heap, block 0x[0-9a-f]+ \+ 99, live, 112 bytes'
    says small_free 'the process heap, block 0x[0-9a-f]+, free, 112 bytes'
    says small_remote 'the process heap, block 0x[0-9a-f]+, free, by another thread, 112 bytes'
    says large 'the process heap, block 0x[0-9a-f]+, live, 3145728 bytes'
    says 'large\+3000000' 'the process heap, block 0x[0-9a-f]+ \+ 3000000, live, 3145728 bytes'
    says foreign 'nothing of Cairn.s'
    says 0 'nothing of Cairn.s'
    grep -q '^    allocated by main at .*program\.c:[0-9]*, 77 bytes asked for$' "$work/out" || fail "no site"
    local i=0 pool size
    for pool in 'a slab" \(slab' 'a fit" \(fit' 'a fixed" \(fixed' 'a stack" \(stack' 'a buffer" \(fit'; do
        size=112
        [[ $pool != *fixed ]] || size=400
        says "pool_live\[$i\]" "pool \"$pool\), block 0x[0-9a-f]+, live, $size bytes"
        says "pool_live\[$i\]\+50" "pool \"$pool\), block 0x[0-9a-f]+ \+ 50, live, $size bytes"
        says "pool_free\[$i\]" "pool \"$pool\), (block 0x[0-9a-f]+, )?free(, $size bytes)?"
        i=$((i + 1))
    done
}

gdb=(gdb -nx -q -batch -ex 'set debuginfod enabled off')
script=$source_dir/share/gdb/cairn.py
"${gdb[@]}" -ex 'break look_now' -ex run -ex "source $script" -ex "source $work/questions" \
    -ex "generate-core-file $work/core" -ex kill "$work/program" >"$work/out" 2>&1 || fail "gdb"
check
"${gdb[@]}" -ex "source $script" -ex "source $work/questions" "$work/program" "$work/core" >"$work/out" 2>&1 ||
    fail "gdb on the core file"
check

# Samples of the heap profile have their stack.
CAIRN_CONF="profile:on,profile_interval:1,profile_file:$work/profile" "${gdb[@]}" -ex 'break look_now' -ex run -ex "source $script" -ex 'cairn what large' -ex kill \
    "$work/program" >"$work/out" 2>&1 || fail "gdb with a profile"
grep -q '^    allocated by .*main at .*program\.c:' "$work/out" || fail "no stack of a sample"

# A program without Cairn is told so.
cp /bin/true "$work/bare"
"${gdb[@]}" -ex starti -ex "source $script" -ex 'cairn what $sp' -ex kill "$work/bare" >"$work/out" 2>&1 || true
grep -q 'Cairn, or its debugging information, is not in this program' "$work/out" || fail "a program without Cairn"
echo "ok"
