#!/bin/bash
# timeout: 240
# Faults, limits and guard by option, on programs that know nothing of Cairn: small ones of plain/, sqlite3 and lua.  With
# each of their allocations failing in turn they end by themselves, with an error or without; never by a signal.
source "$(dirname "$0")/common.bash"
need sqlite3 sqlite3
need lua5.4 lua5.4

# As tests compile everything: what is inlined has no place of its own.
for source in "$here"/plain/*.c; do
    out=$tmp/$(basename "$source" .c)
    flags=()
    [[ $out != */loaded ]] || flags=(-shared -fPIC)
    gcc -O1 -g -fno-inline -fno-builtin -Wall "${flags[@]}" -o "$out" "$source" -lpthread || fail "$source"
done
g++ -std=c++17 -O1 -fno-builtin -Wall -o "$tmp/news" "$here/plain/news.cpp" || fail "news.cpp"

# with CONF COMMAND...: runs it; its status, $tmp/out and $tmp/err.
with() {
    local conf=$1
    shift
    status=0
    doing="CAIRN_CONF=$conf $*"
    timeout -k 5 60 env "LD_PRELOAD=$library" "CAIRN_CONF=$conf" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

gives() { # STATUS
    [[ $status == "$1" ]] || { tail -n 20 "$tmp/out" "$tmp/err"; fail "$doing: status $status, not $1"; }
}

says() { # REGEX
    grep -Eq -- "$1" "$tmp/err" || { tail -n 20 "$tmp/err"; fail "$doing: does not say: $1"; }
}

cd "$tmp"

# ---- Faults -----------------------------------------------------------------------------------------

# in_turn MOST CODE COMMAND...: each of the first MOST allocations by CODE, a pattern, fails; or all if there are fewer.
in_turn() {
    local most=$1 code=$2 nth refused=0
    shift 2
    for ((nth = 1; nth <= most; nth++)); do
        with "faults:$nth,faults_library:$code,faults_report:exit" "$@"
        grep -q "^cairn: faults: .* fails, the $nth\. allocation" "$tmp/err" || break
        ((status < 124)) || { tail -n 5 "$tmp/err"; fail "$doing: status $status"; }
        ! grep -Eq '^cairn: [a-z_ ]+: .* 0x' "$tmp/err" || fail "$doing: $(<"$tmp/err")"
        says '^cairn: faults: 1 of [0-9]+ allocations failed$'
        refused=$((refused + (status != 0)))
    done
    ((refused > 0)) || fail "$1: no failure was noticed"
    echo "ok: ${1##*/}: each of $((nth - 1)) allocations failed in turn, $refused runs ended in an error"
}

in_turn 1000 '*' ./list 7
[[ $status == 0 ]] || fail "list: status $status with nothing left to fail"
says '^cairn: faults: 0 of 2[0-9] allocations failed$'
in_turn 1000 '*' ./news
sql="create table t(a, b); insert into t values (1,'x'), (2,'y'); create index i on t(b);
     select group_concat(a) from (select * from t order by b desc); select printf('%s', randomblob(9000)) is null;"
# Not those of glibc 2.36 itself: getpwuid reads through NULL when its fifth allocation fails.
in_turn 400 '*sqlite3*' sqlite3 :memory: "$sql"
in_turn 400 '*lua5.4*' lua5.4 -e 't = {} for i = 1, 20 do t[i] = ("x"):rep(i * 100) end print(#table.concat(t))'

# What it says is a line for the shell, and leads to the same failure.
with 'faults:3,faults_function:copy_*' ./list 5 "two words" "it's"
gives 3
says "^cairn: faults: malloc of 6 bytes at copy_text\+[0-9]+ \(list\) fails, the 3\. allocation; repeat: "
says '^list: no memory$'
cp err first
(eval "$(sed -n 's/^cairn: faults: .*; repeat: //p' first)") 2>again || true
diff first again || fail "what is said repeats another failure"

# Chance: the seed says all.
with 'faults_ppm:100000' ./list 20
seed=$(grep -Eo 'faults_seed:[0-9]+' err) || fail "no seed is told"
grep -Eo 'fails, the [0-9]+' err >first
with "faults_ppm:100000,$seed" ./list 20
diff first <(grep -Eo 'fails, the [0-9]+' err) || fail "the seed repeats other failures"

# Of some code only.
with 'faults:1,faults_function:new_node' ./list; gives 3; says 'calloc of 16 bytes at new_node\+'
with 'faults:1,faults_library:list' ./list; gives 3; says 'calloc of 16 bytes at new_node\+'
with 'faults:1,faults_library:libc.so*' ./list; gives 0
with 'faults:1,faults_function:nobody' ./list; gives 0
with 'faults:1,faults_size:1K' ./list; gives 3; says 'realloc of (8100|2700) bytes at main\+'
with 'faults:2,faults_size:1K,faults_function:main' ./list; gives 3; says 'realloc of 8100 bytes'

# operator new: an exception, NULL without; the handler is asked first.
with 'faults_ppm:300000,faults_seed:5' ./news; gives 3
grep -Eq '^caught [1-9][0-9]*, null [1-9][0-9]*, handled 0$' out || fail "news: $(<out)"
with 'faults_every:1,faults_library:news' ./news; gives 3
[[ $(<out) == "caught 10, null 10, handled 0" ]] || fail "news: $(<out)"
# Behind nothrow the handler is asked by the runtime, whose own call is not one of the program.
with 'faults_every:1,faults_library:news' ./news handler; gives 3
[[ $(<out) == "caught 10, null 0, handled 20" ]] || fail "news: $(<out)"

# ---- Limits -----------------------------------------------------------------------------------------

with 'limits:12,limits_function:copy_text' ./list
gives 3
says '^cairn: limits: copy_text\+[0-9]+ \(list\) is at its limit: 12 bytes in 2 blocks are live, and 6 more were asked for$'
with 'limits_blocks:4,limits_library:list' ./list
gives 3
says '^cairn: limits: new_node\+[0-9]+ \(list\) is at its limit: 64 bytes in 4 blocks'
with 'limits:12,limits_library:libc.so*' ./list; gives 0
with 'limits:100K' ./list; gives 0

# ---- Guard ------------------------------------------------------------------------------------------

with 'guard:copy_text' ./list; gives 0
with 'guard:copy_text' ./list 5 overrun
gives 139
says '^cairn: guard: overrun at 0x[0-9a-f]+: 34 bytes behind the end of the block 0x[0-9a-f]+ of 6 bytes, allocated at copy_text\+[0-9]+ \(list\)$'
with 'guard:copy_*,guard_library:list' ./list 5 late
gives 139
says '^cairn: guard: use after free at 0x.* of 6 bytes, allocated at copy_text\+[0-9]+ \(list\), freed at misuse\+[0-9]+ \(list\)$'
with 'guard:*' ./list 5 small
gives 134
says '^cairn: guard: overrun, found at the free: byte 1 behind the end was written, of the block .* of 6 bytes, allocated at copy_text'
with 'guard:new_node' ./list 5 overrun; [[ ! -s err ]] || fail "$doing: says $(<err)"

# All blocks of real programs, whose results stay the same.
sqlite3 :memory: "$sql" >right
for conf in 'guard:*' 'guard_library:libsqlite3.so*' 'guard:*,guard_every:3,limits:1G,faults:100000000' limits:1G; do
    with "$conf" sqlite3 :memory: "$sql"
    gives 0
    diff right out || fail "$doing: other results"
    [[ ! -s err ]] || fail "$doing: says $(<err)"
done

# ---- Threads, dlopen, fork, signals -----------------------------------------------------------------

for conf in 'faults_ppm:20000,faults_seed:1' 'faults_ppm:50000,faults_function:allocate' 'limits:1M,limits_library:busy' \
    'guard:*,guard_every:10' 'faults_ppm:10000,limits:5M,guard:work'; do
    with "$conf" ./busy "$tmp/loaded"
    gives 0
    echo "ok: busy with $conf"
done
echo "$name: passed"
