#!/bin/bash
# `cairn trace`: what is recorded, of threads and of child processes; what --info says; damaged files.
. "$(dirname "$0")/lib.bash"

cat >"$work/busy.c" <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *passed[1000];
static void *makes(void *count)
{
    for (int i = 0; i < (int)(size_t)count; i++)
        memset(passed[i] = malloc(300), 1, 300);
    return NULL;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    (void)argc;
    for (int i = 0; i < 7; i++)
        free(calloc(10, 11));
    char *grown = malloc(5);
    for (size_t i = 1; i <= 6; i++)
        grown = realloc(grown, i * 10000);
    free(aligned_alloc(4096, 100));
    pthread_create(&thread, NULL, makes, (void *)1000);
    pthread_join(thread, NULL);
    for (int i = 0; i < 990; i++)
        free(passed[i]);
    free(grown);
    if (argv[1] != NULL && strcmp(argv[1], "fork") == 0 && fork() == 0) {
        free(malloc(77777));
        exit(0);
    }
    wait(NULL);
    if (argv[1] != NULL && strcmp(argv[1], "kill") == 0)
        kill(getpid(), 9);
    return 5;
}
C
gcc -O1 -fno-builtin -w -pthread -o "$work/busy" "$work/busy.c"

# has NAME COUNT: a line of --info; at_least: what libc allocates for itself comes on top
has() {
    grep -Eq "^ +$1 +$2\$" "$work/out" || fail "$doing: not '$1 $2'"
}
at_least() {
    local found
    found=$(sed -n "s/^  $1 *//p" "$work/out" | tr -d ,)
    [[ $found -ge $2 && $found -le $(($2 + 50)) ]] || fail "$doing: $1: $found, not $2"
}

trace=$work/busy.trace
command_gives 5 trace -o "$trace" "$work/busy"
says "^cairn: $trace: [0-9.]+ KiB\$"
[[ ! -s $work/out ]] || fail "writes to standard output"
command_gives 0 trace --info "$trace"
grep -Eq "^$trace: process [0-9]+, 20[0-9-]+ [0-9:]+, [0-9.]+ m?s\$" "$work/out" || fail "heading"
has threads 2
has aligned 1
has realloc 6
has failed 0
at_least malloc 1001
at_least calloc 7
at_least free 998
at_least 'never freed' 10
at_least 'in blocks' 1001
has 511 '1,00[0-9] +29[34]\.[0-9] KiB'
! grep -Eq 'end mark|middle' "$work/out" || fail "a whole trace is said not to be"

# Each process has its own file; a killed one has no end mark; FILE by default; a program that is not there.
command_gives 5 trace --output "$trace" "$work/busy" fork
says '1 more process in '
[[ $(find "$work" -name 'busy.trace.*' | wc -l) == 1 ]] || fail "one file for the child"
command_gives 0 trace --info "$(find "$work" -name 'busy.trace.*')"
grep -Eq '^ +131,071 +1 +76\.0 KiB$' "$work/out" || fail "the child's block"
rm "$work"/busy.trace.*
command_gives 137 trace -o "$work/killed" "$work/busy" kill
command_gives 0 trace --info "$work/killed"
grep -q 'There is no end mark' "$work/out" || fail "no word of the missing end"
(cd "$work" && "$cairn" trace "$work/busy" >/dev/null 2>&1) || [[ -s $work/cairn.trace ]] || fail "no cairn.trace"
command_gives 127 trace -o "$trace.no" nosuchprogram
[[ ! -e $trace.no ]] || fail "a trace of nothing"
command_gives 125 trace -o "$work/no/such/folder" "$work/busy"
says 'no/such/folder: No such file'
command_gives 125 trace -o 'a,b' "$work/busy"
says 'comma'
command_gives 125 trace --conf trace:x "$work/busy"
command_gives 125 trace
says 'which program'
command_gives 125 trace --info "$trace" "$work/busy"

# The option alone, as for a program that something else starts.
CAIRN_CONF=trace:$work/alone.%p LD_PRELOAD=$library "$work/busy" || true
command_gives 0 trace --info "$(find "$work" -name 'alone.*')"
has realloc 6
CAIRN_CONF=trace:/nosuch/file LD_PRELOAD=$library "$work/busy" 2>"$work/err" || [[ $? == 5 ]]
says 'the trace cannot be written to: /nosuch/file'
CAIRN_CONF=trace:/dev/full LD_PRELOAD=$library "$work/busy" 2>"$work/err" || [[ $? == 5 ]]
says 'trace cannot be written to|a part of the trace is missing in: /dev/full'

# No file makes it stumble: cut anywhere, changed anywhere, with more in between.
cat >"$work/damage.py" <<'P'
import random, subprocess, sys
cairn, good, seed = sys.argv[1], open(sys.argv[2], "rb").read(), int(sys.argv[3])
random.seed(seed)
name = sys.argv[2] + ".damaged"
refused = accepted = 0
for i in range(300):
    data = bytearray(good)
    way = i % 4
    if way == 0:
        data = data[:random.randrange(len(data))]
    else:
        for _ in range(random.choice([1, 1, 2, 10])):
            at = random.randrange(len(data) if i % 3 else min(len(data), 200))
            if way == 1:
                data[at] = random.randrange(256)
            elif way == 2:
                data[at:at] = bytes(random.randrange(256) for _ in range(random.randrange(1, 9)))
            else:
                del data[at:at + random.randrange(1, 9)]
    open(name, "wb").write(data)
    replay = i % 10 == 5
    arguments = ["replay", "--rounds", "1", name] if replay else ["trace", "--info", name]
    run = subprocess.run([cairn, *arguments], capture_output=True, text=True, errors="replace", timeout=60)
    if run.returncode == 125:
        refused += 1
        known = ("is no trace", "the trace ends within its header", "damaged at byte", "a trace of version")
        good_end = any(f"cairn: {name}: {k}" in run.stderr for k in known) and not run.stdout
    else:
        accepted += 1
        good_end = run.returncode == 0 and run.stdout.startswith(name + ": ")
    if not good_end:
        sys.exit(f"seed {seed}, file {i}: status {run.returncode}: {run.stderr}{run.stdout}")
if refused < 50 or accepted < 50:
    sys.exit(f"{refused} refused, {accepted} accepted")
P
"$cairn" trace -o "$trace" "$known" blocks=300 live=20 2>/dev/null
doing="damaged files"
python3 "$work/damage.py" "$cairn" "$trace" "${CAIRN_TEST_SEED:-$RANDOM}" 2>"$work/err" || fail "$doing"
head -c 30 "$trace" >"$work/short"
command_gives 125 trace --info "$work/short"
says 'short: the trace ends within its header'
command_gives 125 trace --info "$work/busy"
says 'is no trace'
command_gives 125 trace --info "$work"
command_gives 125 trace --info "$work/nosuch"
says 'nosuch: No such file'
echo "ok"
