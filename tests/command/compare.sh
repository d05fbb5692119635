#!/bin/bash
# `cairn run --compare`: both allocators, in turns, with the same input.
. "$(dirname "$0")/lib.bash"

command_gives 3 run --compare --json "$work/json" "$known" blocks=50 live=5 touch=32 out=text exit=3
writes $'text\ntext'
says '^ +Cairn +system +ratio$'
says '^  time +[0-9.]+ m?s +[0-9.]+ m?s +[0-9.]+$'
says '^  CPU time .* m?s +[0-9.]+$'
says '^  peak memory +3[0-9.]+ MiB +3[0-9.]+ MiB +(0\.9|1\.[01])[0-9]$'
says '^  allocations +51$'
says_not 'differently|Interrupted| $'
holds 'set(r["ratio"]) == {"wall", "cpu", "peak"} and [len(r[a]["runs"]) for a in ("cairn", "system")] == [1, 1]'
holds 'abs(r["ratio"]["peak"] - r["cairn"]["peak_bytes"] / r["system"]["peak_bytes"]) < 1e-6'
holds 'abs(r["ratio"]["wall"] - r["cairn"]["wall_seconds"] / r["system"]["wall_seconds"]) < 1e-6'
holds 'all(32 << 20 <= r[a]["peak_bytes"] < 48 << 20 for a in ("cairn", "system"))'
holds '"statistics" not in r["system"]["runs"][0] and r["system"]["runs"][0]["exit_status"] == 3'

# Rounds: in turns, each allocator first as often as the other; medians.
cat >"$work/which" <<'S'
#!/bin/bash
case ${LD_PRELOAD:-} in *libcairn*) echo cairn ;; *) echo system ;; esac
S
chmod +x "$work/which"
command_gives 0 run --compare --rounds 3 --json "$work/json" "$work/which"
writes $'cairn\nsystem\nsystem\ncairn\ncairn\nsystem'
says ', medians of 3 rounds$'
holds '[len(r[a]["runs"]) for a in ("cairn", "system")] == [3, 3] and r["rounds"] == 3'
for key in wall_seconds user_seconds system_seconds peak_bytes; do
    holds "all(sorted(run['$key'] for run in r[a]['runs'])[1] == r[a]['$key'] for a in ('cairn', 'system'))"
done
command_gives 0 run --rounds 2 --json "$work/json" "$work/which"
writes $'cairn\ncairn'
holds '"system" not in r and len(r["cairn"]["runs"]) == 2'
holds 'abs(sum(run["wall_seconds"] for run in r["cairn"]["runs"]) / 2 - r["cairn"]["wall_seconds"]) < 1e-6'

# An end that differs.
cat >"$work/differs" <<'S'
#!/bin/bash
case ${LD_PRELOAD:-} in *libcairn*) exit 4 ;; *) kill -SEGV $$ ;; esac
S
chmod +x "$work/differs"
command_gives 4 run --compare "$work/differs"
says "^  The runs ended differently: on the system's allocator with signal 11, SIGSEGV\.$"

# Standard input: a pipe is read once for all, a file from where it stands, a terminal by the first run.
seq 1 30000 >"$work/numbers"
seq 1 30000 | command_gives 0 run --compare --rounds 2 "$known" copy=0
cat "$work"/numbers{,,,} | cmp - "$work/out" || fail "a pipe is not the same for each run"
{
    read -r _
    command_gives 0 run --compare "$known" copy=0
} <"$work/numbers"
{ tail -n +2 "$work/numbers" && tail -n +2 "$work/numbers"; } | cmp - "$work/out" || fail "a file is not the same"
command_gives 0 run --compare "$known" copy=0 </dev/null
command_gives 0 run --compare "$known" copy=0 <&-
{
    command_gives 0 run "$known" out=once # a single run leaves a pipe alone
    read -r line
    [[ $line == left ]] || fail "a single run has read from its standard input"
} < <(echo left)

python3 - "$cairn" "$known" <<'P' || fail "a terminal"
import os, subprocess, sys

master, slave = os.openpty()
command = [sys.argv[1], "run", "--compare", sys.argv[2], "copy=0"]
process = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
os.write(master, b"typed\n\x04")
output, _ = process.communicate(timeout=30)
sys.exit(process.returncode != 0 or output != b"typed\n")
P
echo "ok"
