#!/bin/bash
# Long work of `cairn pool` says how far it is: on a terminal after half a second, elsewhere when it is asked to; short work
# and work without a terminal say nothing.
. "$(dirname "$0")/lib.bash"

cat >"$work/filler.c" <<'END'
#include <cairn/persist.h>
#include <string.h>
int main(int argc, char **argv)
{
    cairn_pool *pool = cairn_pool_open(argv[1], NULL);
    void **last = NULL;
    if (argc < 2 || pool == NULL)
        return 1;
    for (int i = 0; i < 3000; i++) {
        void **block = cairn_pool_malloc(pool, 5000);
        memset(block, 'x', 5000);
        *block = last;
        last = block;
    }
    cairn_pool_set_root(pool, last);
    return cairn_pool_close(pool) != 0;
}
END
gcc -I"$source_dir/include" -o "$work/filler" "$work/filler.c" "$build/libcairn.so" -Wl,-rpath,"$build"
pool=$work/a.pool

command_gives 0 pool create --progress --size 32M --max-size 64M "$pool"
says "^cairn: $pool: creating +[0-9]+ s$"
"$work/filler" "$pool"

# asked ACTION WORDS [ARGUMENT...]: the last line says that all is done, or how long it took.
asked() {
    local action=$1 words=$2
    shift 2
    command_gives 0 pool "$action" --progress "$pool" "$@"
    [[ $(tail -n 1 "$work/err") =~ ^cairn:\ $pool:\ $words$ ]] || fail "$doing"
    says_not '[^ -~]'
    command_gives 0 pool "$action" "$pool" "$@"
    [[ ! -s $work/err ]] || fail "$doing: says something without being asked"
}
asked check 'checking 100 %'
asked dump 'reading 100 %'
asked map 'reading 100 %'
asked leaks 'looking for leaks 100 %'
asked export 'exporting 100 %'
asked recover 'recovering +[0-9]+ s'
asked grow 'growing +[0-9]+ s' 40M
command_gives 2 pool info --progress "$pool"

# How much is done rises; one line a second, so who reads slowly sees some.
{ "$cairn" pool export --progress "$pool" 2>"$work/err" || fail "export"; } | { sleep 2.5; wc -c >"$work/out"; }
doing="export to a slow reader"
(($(<"$work/out") > 15000000)) || fail "$doing: $(<"$work/out") bytes"
sed -n "s|^cairn: $pool: exporting \+\([0-9]\+\) %$|\1|p" "$work/err" >"$work/shares"
(($(wc -l <"$work/shares") >= 3)) || fail "$doing: fewer than three lines"
sort -c -n "$work/shares" || fail "$doing: it goes back"

# On a terminal: what takes its time is told and wiped away, what is short is not told.
on_terminal() {
    doing="on a terminal: $*"
    script -qec "$*" /dev/null >"$work/out" 2>"$work/err" </dev/null || fail "$doing"
}
on_terminal "$cairn pool export $pool | { sleep 1.5; cat >/dev/null; }"
grep -Eq "a.pool: exporting +[0-9]+ %" "$work/out" || fail "$doing: $(<"$work/out")"
[[ $(tail -c 5 "$work/out") == *$'\r\033[K' ]] || fail "$doing: the line stays"
for try in 1 2 3 4 5; do # the machine may be busy for half a second
    on_terminal "$cairn pool check $pool"
    grep -q checking "$work/out" || break
    ((try < 5)) || fail "$doing: short work is told"
done
grep -q 'consistent, 3000 live blocks' "$work/out" || fail "$doing: $(<"$work/out")"
echo ok
