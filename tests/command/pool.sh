#!/bin/bash
# cairn pool: each action on pools that a program has filled, killed and damaged; exit statuses, JSON, pictures.
. "$(dirname "$0")/lib.bash"

# pool_maker FILE ACTION: fill (500 strings and a large block reachable, 7 leaks), kill (the same, then dies), open (the
# same, then waits for its death).
cat >"$work/pool_maker.c" <<'END'
#include <cairn/persist.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    cairn_pool *pool = cairn_pool_open(argv[1], NULL);
    if (argc < 3 || pool == NULL)
        return fprintf(stderr, "%s\n", cairn_errormsg()), 1;
    void **table = cairn_pool_calloc(pool, 502, sizeof *table);
    for (int i = 0; i < 500; i++)
        table[i] = cairn_pool_strdup(pool, "a string of some bytes");
    table[500] = cairn_pool_calloc(pool, 1, 300000);
    cairn_pool_set_root(pool, table);
    cairn_pool_set_named_root(pool, "first", table[0]);
    for (int i = 0; i < 7; i++)
        memset(cairn_pool_malloc(pool, 900), 0, 900);
    if (argc > 3 && cairn_pool_checkpoint(pool) != 0)
        return 1;
    if (argc > 3)
        cairn_pool_set_root(pool, NULL);
    if (strcmp(argv[2], "kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(argv[2], "open") == 0) {
        puts("ready");
        fflush(stdout);
        pause();
    }
    return cairn_pool_close(pool) != 0;
}
END
gcc -I"$source_dir/include" -o "$work/pool_maker" "$work/pool_maker.c" "$build/libcairn.so" -Wl,-rpath,"$build"
maker=$work/pool_maker
pool=$work/a.pool

json_gives() {
    local expected=$1 status=0
    shift
    doing="cairn pool $*"
    "$cairn" pool --json "$@" >"$work/json" 2>"$work/err" || status=$?
    [[ $status == "$expected" ]] || fail "$doing: status $status, not $expected"
}
shows() {
    grep -Eq -- "$1" "$work/out" || fail "$doing: does not write: $1"
}

# Wrong arguments
for arguments in '' 'nosuch f' 'info' 'info a b' 'grow a' 'info --size 3 f' 'create f' 'create --size 3X f' \
    'map --columns 3 f' 'recover --trust --rollback f' 'check --nosuch f' 'create --mode 9 --size 1M f'; do
    # shellcheck disable=SC2086
    command_gives 2 pool $arguments
done
for action in info check stat dump map recover leaks export; do
    command_gives 125 pool $action "$work/nosuch"
    says 'nosuch: .*No such file'
done

# create, info, grow
command_gives 0 pool create --size 8M --max-size 64M --layout words --mode 640 "$pool"
[[ $(stat -c %a "$pool") == 640 ]] || fail "mode $(stat -c %a "$pool")"
command_gives 125 pool create --size 8M "$pool"
says 'a.pool: .*File exists'
command_gives 125 pool create --size 8K "$work/b.pool"
command_gives 0 pool info "$pool"
shows 'closed properly'
shows 'layout +"words"'
shows 'may grow to +64.0 MiB'
json_gives 0 info "$pool"
holds 'r["layout"] == "words" and r["is_closed"] and not r["is_relocatable"] and r["max_size"] == 64 << 20'
command_gives 0 pool grow "$pool" 16M
json_gives 0 info "$pool"
holds 'r["size"] > 15 << 20'
command_gives 125 pool grow "$pool" 128M
command_gives 2 pool grow "$pool" many

# check, stat, leaks, dump
"$maker" "$pool" fill
command_gives 0 pool check "$pool"
shows 'consistent, 509 live blocks'
command_gives 0 pool check --layout words "$pool"
command_gives 125 pool check --layout other "$pool"
json_gives 0 check "$pool"
holds 'r["is_consistent"] and r["is_closed"] and r["blocks"] == 509 and r["fault_list"] == []'
command_gives 0 pool stat "$pool"
shows '509 live blocks'
shows '^ +large +1 '
json_gives 0 stat "$pool"
holds 'r["live_blocks"] == 509 == sum(c["live"] for c in r["classes"])'
holds 'r["live_bytes"] == sum(c["live_bytes"] for c in r["classes"]) and r["span_bytes"] + r["free_bytes"] == r["page_bytes"]'
command_gives 0 pool dump --blocks "$pool"
[[ $(grep -c '^block ' "$work/out") == 509 ]] || fail "dump: $(grep -c '^block ' "$work/out") blocks"
json_gives 0 dump --blocks "$pool"
holds 'len(r["blocks"]) == 509 == sum(s["live"] for s in r["spans"])'
command_gives 1 pool leaks "$pool"
shows '7 blocks of .* cannot be reached; 502 of'
json_gives 1 leaks "$pool"
holds 'r["leaked_blocks"] == 7 == len(r["leaks"]) and r["reached_blocks"] == 502 and r["freed_blocks"] == 0'
command_gives 0 pool leaks --free "$pool"
shows '7 freed'
command_gives 0 pool leaks "$pool"
command_gives 0 pool check "$pool"
shows '502 live blocks'

# export: every live block with its contents, and the roots lead to them
command_gives 0 pool export --output "$work/export" "$pool"
python3 - "$work/export" <<'END' || fail "export: not what the pool holds"
import base64, json, struct, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
head, blocks, last = lines[0], {b["offset"]: b for b in lines[1:-1]}, lines[-1]
assert last == {"blocks": 502, "bytes": sum(b["size"] for b in blocks.values())} and len(blocks) == 502
table = base64.b64decode(blocks[head["root"]]["data"])
assert all(len(base64.b64decode(b["data"])) == b["size"] for b in blocks.values())
pointers = struct.unpack_from("<500Q", table)
assert head["roots"]["first"] == pointers[0] - head["address"] and head["layout"] == "words"
for p in pointers:
    assert base64.b64decode(blocks[p - head["address"]]["data"]).startswith(b"a string of some bytes\0")
END
status=0
"$cairn" pool export "$pool" >/dev/full 2>"$work/err" || status=$?
[[ $status == 125 ]] || fail "export >/dev/full: status $status"

# map
command_gives 0 pool map --columns 64 "$pool"
awk '/^\|/ && length($0) != 66 { exit 1 }' "$work/out" || fail "map: lines of other lengths"
shows '^\|.*#####'
shows 'more, never used'
shows '^ +large +'
json_gives 0 map "$pool"
holds 'sum(x["pages"] for x in r["runs"]) == r["pages"] and [c["block_size"] for c in r["classes"]][-1] == 0'
command_gives 0 pool map --svg "$work/map.svg" "$pool"
python3 -c 'import sys, xml.dom.minidom; d = xml.dom.minidom.parse(sys.argv[1]); sys.exit(len(d.getElementsByTagName("rect")) < 50)' \
    "$work/map.svg" || fail "map: no SVG"
if command -v rsvg-convert >/dev/null; then
    command_gives 0 pool map --png "$work/map.png" "$pool"
    [[ $(head -c 4 "$work/map.png" | tail -c 3) == PNG ]] || fail "map: no PNG"
fi
command_gives 125 pool map --svg /nosuch/x.svg "$pool"

# A process that has it open; one that died
"$maker" "$pool" open >"$work/ready" &
while ! grep -q ready "$work/ready"; do sleep 0.05; done
command_gives 0 pool info "$pool"
shows 'version 1, open'
command_gives 125 pool check "$pool"
command_gives 125 pool recover "$pool"
kill -9 %1
wait %1 2>/dev/null || true
command_gives 0 pool info "$pool"
shows 'its process died'
command_gives 1 pool check "$pool"
shows 'not closed properly'
json_gives 0 recover "$pool"
holds 'r["found"] == "killed" and r["blocks"] == 502 + 509'
command_gives 0 pool recover "$pool"
shows 'nothing to do'
command_gives 0 pool check "$pool"

# A copy of a pool that was open is what a power cut leaves
rm "$pool"
command_gives 0 pool create --size 8M "$pool"
"$maker" "$pool" kill checkpoint || true
copy_all() {
    for ending in '' .ckpt .ckpt0 .ckpt1; do
        rm -f "$work/copy$ending"
        [[ ! -e $pool$ending ]] || cp "$pool$ending" "$work/copy$ending"
    done
}
copy_all
command_gives 0 pool recover "$work/copy"
shows 'back at checkpoint 1'
command_gives 1 pool leaks "$work/copy"
shows '7 blocks'
copy_all
rm -f "$work"/copy.ckpt*
command_gives 125 pool recover "$work/copy"
says 'no checkpoint'
command_gives 0 pool recover --trust "$work/copy"
shows 'taken as it was'
command_gives 0 pool recover "$pool"
shows 'had died'
command_gives 1 pool leaks "$pool"
shows '508 blocks'
command_gives 0 pool recover --rollback "$pool"
command_gives 0 pool check "$pool"
command_gives 1 pool leaks "$pool"

# A file that was cut says so, open when it was copied or not
for source in "$pool" "$work/open"; do
    [[ $source == "$pool" ]] || "$cairn" pool create --size 8M "$source" >/dev/null
    [[ $source == "$pool" ]] || "$maker" "$source" kill || true
    head -c 2M "$source" >"$work/cut"
    for action in info stat dump; do
        command_gives 0 pool $action "$work/cut"
        shows 'cut: the file is shorter than the pool in it'
    done
    json_gives 0 info "$work/cut"
    holds 'r["bytes_missing"] > 5 << 20'
    command_gives 0 pool map "$work/cut"
    says 'it was cut'
    command_gives 125 pool recover "$work/cut"
    says 'it was cut'
    says_not 'machine went down'
done
rm -f "$work/open" "$work/cut"

# Damage: check names it, and no action dies of it
for at in 0 4096 131072 131080 200000; do
    cp "$pool" "$work/damaged"
    printf '\245\132\377' | dd of="$work/damaged" bs=1 seek=$at conv=notrunc status=none
    command_gives 1 pool check "$work/damaged"
    for action in info stat dump map leaks export recover; do
        status=0
        "$cairn" pool $action "$work/damaged" >"$work/out" 2>"$work/err" || status=$?
        [[ $status -le 2 || $status == 125 ]] || fail "pool $action dies of damage at $at: status $status"
    done
done
head -c 100000 /dev/urandom >"$work/noise"
command_gives 1 pool check "$work/noise"
command_gives 125 pool info "$work/noise"
echo "ok"
