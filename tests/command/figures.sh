#!/bin/bash
# What `cairn run` says of a program that does exactly what it is told.
. "$(dirname "$0")/lib.bash"

# The program's output is its own; the report comes after it, on standard error.
command_gives 0 run -- "$known" blocks=12345 live=678 out=output err=error
writes output
[[ $(head -n 1 "$work/err") == error ]] || fail "standard error does not begin with the program's"
[[ $(sed -n 2p "$work/err") == "cairn: $known blocks=12345 live=678 out=o"*": status 0" ]] || fail "heading"
says '^  time +[0-9.]+ m?s$'
says '^  CPU time +[0-9.]+ m?s$'
says '^  peak memory +[0-9.]+ MiB$'
says '^  allocations +12,345$'
says '^  live at exit +7[0-9]\.[0-9] KiB$' # 678 blocks of 112 bytes are 74.2 KiB
says '^  in blocks +678$'
says_not ' $|^  (No|The|Interrupted)'
[[ $(wc -l <"$work/err") -le 24 ]] || fail "more than one screen"

# JSON: the same, exactly.
command_gives 5 run --conf keep:2M --json "$work/json" "$known" blocks=1000 live=10 exit=5
holds 'r["program"].endswith("/known") and r["arguments"][1:] == ["blocks=1000", "live=10", "exit=5"]'
holds 'r["conf"] == "keep:2M" and r["rounds"] == 1 and r["version"] == r["cairn"]["runs"][0]["statistics"]["cairn"]'
holds "r['library'] == '$library' and 'system' not in r and 'ratio' not in r"
holds 'len(r["cairn"]["runs"]) == 1 and r["cairn"]["runs"][0]["exit_status"] == 5'
holds 'r["cairn"]["runs"][0]["signal"] is None and r["cairn"]["runs"][0]["other_processes"] == 0'
statistics='r["cairn"]["runs"][0]["statistics"]'
holds "[${statistics}[key] for key in ('allocations', 'frees', 'live_blocks')] == [1000, 990, 10]"
holds "1000 <= ${statistics}['live'] <= 1280 and len(${statistics}['classes']) == 1"

# Time and memory, each where nothing else takes any.
command_gives 0 run --json "$work/json" "$known" sleep=300
holds '0.3 <= r["cairn"]["wall_seconds"] < 3 and r["cairn"]["user_seconds"] + r["cairn"]["system_seconds"] < 0.1'
command_gives 0 run --json "$work/json" "$known" spin=200
holds '0.19 <= r["cairn"]["user_seconds"] + r["cairn"]["system_seconds"] < 0.4 and r["cairn"]["wall_seconds"] >= 0.19'
command_gives 0 run --json "$work/json" "$known" touch=64
holds '64 << 20 <= r["cairn"]["peak_bytes"] < 80 << 20'
says '^  peak memory +6[4-9]\.[0-9] MiB$'
command_gives 0 run --json "$work/json" "$known"
holds '0 < r["cairn"]["peak_bytes"] < 8 << 20'
says '^  The program allocated nothing through malloc'

# Standard output for the JSON, after the program's; bytes that are no UTF-8.
command_gives 0 run --json - "$known" out=first "$(printf 'err=\377')"
[[ $(head -n 1 "$work/out") == first ]] || fail "the program's output is not first"
tail -n +2 "$work/out" >"$work/json"
holds 'r["arguments"][2] == "err=?"'

# All statistics.
command_gives 0 run --stats "$known" blocks=1000 live=10
says '^  allocations +1000$'
says '^  frees +990$'
says '^  limit_hard +none$'
says '^ +112 +[0-9]+ +10 +1120 +'

# Exit statuses, and ends without statistics.
for status in 1 77 125 126 127 255; do
    command_gives $status run "$known" exit=$status
    says ": status $status$"
done
command_gives 3 run --stats --json "$work/json" "$known" blocks=10 _exit=3
says ': status 3$'
says '^  No statistics: the program ended by _exit'
says '^  time +[0-9]'
says '^  peak memory +[0-9]'
says '^  allocations +-$'
says_not 'frees'
holds 'r["cairn"]["runs"][0]["statistics"] is None and r["cairn"]["runs"][0]["exit_status"] == 3'
command_gives 137 run --json "$work/json" "$known" signal=9
says ': signal 9, SIGKILL$'
says '^  No statistics: a signal ended the program'
holds 'r["cairn"]["runs"][0]["signal"] == 9 and r["cairn"]["runs"][0]["exit_status"] == 137'
command_gives 134 run "$known" signal=6
says ': signal 6, SIGABRT$'

# Through exec it is the same process; children count for themselves.
command_gives 0 run -- env NAME=value "$known" blocks=77 env=NAME
writes value
says '^  allocations +77$'
command_gives 4 run --json "$work/json" bash -c "$known blocks=1; $known blocks=2; exit 4"
says 'without 2 more processes on Cairn'
holds 'r["cairn"]["runs"][0]["other_processes"] == 2'
command_gives 0 run bash -c "$known blocks=1; :"
says 'without 1 more process on Cairn'

# The program's environment.
cat >"$work/other.c" <<'C'
int other;
C
gcc -shared -fPIC -o "$work/other.so" "$work/other.c"
command_gives 0 run "$known" env=LD_PRELOAD env=CAIRN_CONF
grep -qx "$library" "$work/out" || fail "LD_PRELOAD is not the library alone"
grep -Eqx 'stats:exit,stats_format:json,stats_file:.*/%p' "$work/out" || fail "CAIRN_CONF"
for preload in "$work/other.so" "$work/other.so $build/libcairn.so" "$build/libcairn.so.0:$work/other.so"; do
    LD_PRELOAD=$preload command_gives 0 run --compare "$known" env=LD_PRELOAD
    writes "$library:$work/other.so"$'\n'"$work/other.so"
done
cp "$library" "$work/renamed.so"
export CAIRN_LIBRARY=$work/renamed.so
LD_PRELOAD=$work/renamed.so:$work/other.so command_gives 0 run --compare "$known" env=LD_PRELOAD
writes "$work/renamed.so:$work/other.so"$'\n'"$work/other.so"
unset CAIRN_LIBRARY
export CAIRN_CONF=keep:3M
command_gives 0 run --compare --conf purge_delay:7 --conf confirm_conf:true "$known" env=CAIRN_CONF
grep -Eqx 'keep:3M,purge_delay:7,confirm_conf:true,stats:exit,.*' "$work/out" || fail "CAIRN_CONF with --conf"
grep -qx 'keep:3M' "$work/out" || fail "CAIRN_CONF on the system's allocator"
says 'options in force: .*purge_delay:7,keep:3145728'
[[ $(grep -c 'options in force' "$work/err") == 1 ]] || fail "options in force are said more than once"
unset CAIRN_CONF
command_gives 0 run --conf nosuch:1 "$known"
says 'unknown key: nosuch:1'
command_gives 0 run "$known" env=CAIRN_LIBRARY out=-- --=0 # options after the program are its own
writes "(unset)"$'\n'"--"

# Wherever temporary files go: relative, gone, unwritable, with a comma in its name.
mkdir "$work/scratch,comma"
for folder in scratch none /proc '' "$work/scratch,comma"; do
    (cd "$work" && TMPDIR=$folder command_gives 0 run "$known" blocks=5)
    says '^  allocations +5$'
done
echo "ok"
