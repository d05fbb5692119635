#!/bin/bash
# Signals end the program, not the command, which still reports, runs no further round and leaves nothing behind.
. "$(dirname "$0")/lib.bash"

# interrupted WAY SIGNAL STATUS ARGUMENT...: sends the signal to the command (alone) or its process group (group)
# once the program has written a line; the command must end with STATUS.
interrupted() {
    doing="$*"
    python3 - "$cairn" "$work" "$@" <<'P' || fail "$doing"
import os, signal, subprocess, sys

cairn, work, way, number, status, *arguments = sys.argv[1:]

def defaults():  # a shell lets what it starts in the background ignore some
    for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)

with open(work + "/err", "wb") as err:
    process = subprocess.Popen([cairn, "run", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=err, preexec_fn=defaults, start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    send = os.killpg if way == "group" else os.kill
    send(process.pid, int(number))
    rest, _ = process.communicate(timeout=30)
assert rest == b"", rest
assert process.returncode == int(status), process.returncode
P
    [[ -z $(ls -A "$work/scratch") ]] || fail "$doing: leaves files behind"
}

for way in alone group; do
    for number in 1 2 3 15; do
        interrupted $way $number 7 "$known" catch=$number blocks=9 out=ready sleep=20000
        says ': status 7$'
        says '^  allocations +9$'
        interrupted $way $number $((128 + number)) "$known" out=ready sleep=20000
        says ": signal $number, SIG"
        says '^  No statistics: a signal'
    done
done
interrupted alone 2 7 --compare --rounds 5 --json "$work/json" "$known" catch=2 blocks=9 out=ready sleep=20000
says '^  time +[0-9.]+ m?s +-$'
says '^  Interrupted: 0 of 5 rounds\.$'
holds 'r["ratio"] == {"wall": None, "cpu": None, "peak": None} and r["system"]["runs"] == []'

# The program gets the signals as the command got them: those that were ignored stay ignored, no other is.
dispositions() {
    "$@" grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status
}
for ignored in '' 'INT QUIT' TERM; do
    # shellcheck disable=SC2086
    (
        [[ -z $ignored ]] || trap '' $ignored
        dispositions >"$work/plain"
        dispositions "$cairn" run -- >"$work/out" 2>"$work/err"
    )
    cmp "$work/plain" "$work/out" || fail "the program gets other signal dispositions (ignored: $ignored)"
done

# While a pipe that never ends is read for both runs.
python3 - "$cairn" "$known" <<'P' || fail "interrupted while reading"
import os, signal, subprocess, sys, time

process = subprocess.Popen([sys.argv[1], "run", "--compare", sys.argv[2], "out=ran"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
while not os.listdir(os.environ["TMPDIR"]):
    time.sleep(0.01)
time.sleep(0.3)
process.send_signal(signal.SIGTERM)
output, errors = process.stdout.read(), process.stderr.read()
sys.exit(process.wait(timeout=30) != 125 or output != b"" or not errors.startswith(b"cairn: standard input: "))
P
[[ -z $(ls -A "$work/scratch") ]] || fail "interrupted while reading: leaves files behind"
echo "ok"
