#!/bin/bash
# timeout: 120
# `cairn run --profile` and `--leaks`, `cairn profile`, and what pprof's readers make of the same files.
. "$(dirname "$0")/lib.bash"

sites=$work/sites
cat >"$work/sites.c" <<'EOF'
/* Keeps 64 MiB in blocks of 1,000 bytes from `small_site`, 32 MiB of 100,000 bytes from `large_site`, and frees 96 MiB
 * from `passing_site`; with an argument, in a child as well. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#define SITE(name) __attribute__((noinline)) static void *name(size_t size) { void *p = malloc(size); __asm__("" : "+r"(p)); return p; }
SITE(small_site)
SITE(large_site)
SITE(passing_site)
static void *kept[70000];
static int n;
__attribute__((noinline)) static void work(void)
{
    for (int i = 0; i < (64 << 20) / 1000; i++) {
        kept[n++] = small_site(1000);
        free(passing_site(1500));
    }
    for (int i = 0; i < (32 << 20) / 100000; i++)
        kept[n++] = large_site(100000);
}
int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1 && fork() == 0)
        exit(0);
    work();
    if (argc > 1)
        wait(NULL);
    return 4;
}
EOF
gcc -g -O1 -fno-builtin -fno-optimize-sibling-calls -o "$sites" "$work/sites.c"

# near NAME LOW HIGH: a number of MiB in the first column of the line of $work/out that ends with NAME
near() {
    awk -v name="$1" -v low="$2" -v high="$3" '
        $NF == name { found = 1; if ($2 != "MiB" || $1 < low || $1 > high) { print; exit 1 } }
        END { exit !found }' "$work/out" || fail "$doing: $1 is not between $2 and $3 MiB"
}

# The default interval: about 128 samples for the small site, 10 % is little more than one deviation; so 35 %.
command_gives 4 run --profile "$work/profile.gz" -- "$sites"
says 'status 4'
gzip -t "$work/profile.gz" || fail "not compressed"
command_gives 0 profile "$work/profile.gz"
grep -q '^estimates, from one sample in 512.0 KiB$' "$work/out" || fail "$doing: does not say how it was sampled"
near small_site 42 87
near large_site 18 46

# One in 16 KiB: 4,000 samples; 10 % is six deviations.
command_gives 4 run --conf profile_interval:16K --profile "$work/profile.gz" -- "$sites"
command_gives 0 profile "$work/profile.gz"
near small_site 57.6 70.4
near large_site 28.8 35.2
[[ $(awk '$NF == "passing_site"' "$work/out") == "" ]] || fail "$doing: shows what was freed"
command_gives 0 profile --allocated --top 3 "$work/profile.gz"
near passing_site 86.4 105.6
[[ $(wc -l <"$work/out") == 7 ]] || fail "$doing: not three functions"
command_gives 0 profile --stacks --top 1 "$work/profile.gz"
for frame in "small_site \(.*sites.c:[0-9]+\)" "work \(.*sites.c:[0-9]+\)" "main \(.*sites.c:[0-9]+\)"; do
    grep -Eq "^ +$frame$" "$work/out" || fail "$doing: no frame $frame"
done

# The picture: valid, each site in it once, as wide as it should be.
command_gives 0 profile --svg "$work/flame.svg" "$work/profile.gz"
xmllint --noout "$work/flame.svg" || fail "no valid XML"
python3 - "$work/flame.svg" <<'EOF' || fail "the picture is wrong"
import re, sys
text = open(sys.argv[1]).read()
boxes = {}
for title, x, y, width in re.findall(
        r'<title>([^:]*):[^<]*</title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', text):
    assert title not in boxes, title
    boxes[title] = float(x), float(y), float(width)
small, large, main, everything = (boxes[n] for n in ("small_site", "large_site", "main", "all"))
assert abs(everything[2] - 1180) < 1 and abs(main[2] - 1180) < 2, boxes
assert 1.6 < small[2] / large[2] < 2.4, boxes
assert small[1] == large[1] < boxes["work"][1] < main[1] < everything[1], boxes
assert abs(small[2] + large[2] - boxes["work"][2]) < 1, boxes
EOF
command_gives 0 profile --svg - "$work/profile.gz"
xmllint --noout "$work/out" || fail "more than the picture on standard output"

# Others read it: the protocol buffer by its compiler's raw decoder, the text by google-pprof.
zcat "$work/profile.gz" | protoc --decode_raw >"$work/raw" || fail "protoc cannot decode it"
grep -q '"inuse_space"' "$work/raw" || fail "no type inuse_space"
id=$(readelf -n "$sites" | sed -n 's/.*Build ID: //p')
grep -q "\"$id\"" "$work/raw" || fail "the program's build id is missing"
status=0
CAIRN_CONF=profile:on,profile_interval:16K,profile_format:text,profile_file:$work/profile.txt \
    LD_PRELOAD=$library "$sites" || status=$?
[[ $status == 4 ]] || fail "status $status"
doing=google-pprof
google-pprof --text --inuse_space "$sites" "$work/profile.txt" 2>/dev/null |
    awk '$NF ~ /_site$/ { print $1, "MiB", $NF }' >"$work/out"
near small_site 57.6 70.4
near large_site 28.8 35.2
google-pprof --text --alloc_space "$sites" "$work/profile.txt" 2>/dev/null |
    awk '$NF ~ /_site$/ { print $1, "MiB", $NF }' >"$work/out"
near passing_site 86.4 105.6

# A process of its own gets a file of its own.
command_gives 4 run --profile "$work/family.gz" -- "$sites" child
compgen -G "$work/family.gz.*" >/dev/null || fail "$doing: no profile of the child"

# Symbols are refused from a file that is not the one that ran.
cp "$sites" "$work/other"
command_gives 4 run --profile "$work/other.gz" -- "$work/other"
gcc -g -O1 -fno-builtin -DOTHER -Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567 -o "$work/other" "$work/sites.c"
command_gives 0 profile "$work/other.gz"
says 'is not the file that was running'
grep -Eq ' other\+0x[0-9a-f]+$' "$work/out" || fail "$doing: no bare addresses"

# Leaks: exact.
command_gives 4 run --leaks -- "$sites"
says '^live at exit: 95\.[0-9] MiB in 67,[0-9]{3} blocks, from [0-9]+ stacks?$'
says '^ +64\.0 MiB in 67,108 blocks$'
says '^ +31\.9 MiB in 335 blocks$'
says '^ +small_site \(.*sites\.c:[0-9]+\)$'
says_not passing_site
command_gives 0 run --leaks -- "$known" blocks=30 live=7
says '^live at exit: 700 bytes in 7 blocks, from 1 stack$'

# Refusals.
command_gives 125 run --leaks --rounds 2 -- "$known"
says 'for one run'
command_gives 2 profile
says 'which file'
command_gives 2 profile --top 0 x
command_gives 1 profile "$work/nothing-there"
says 'No such file'
command_gives 1 profile "$sites"
says 'is not a heap profile'
head -c -9 "$work/profile.gz" >"$work/cut.gz"
command_gives 1 profile "$work/cut.gz"
zcat "$work/profile.gz" | head -c -3 >"$work/cut"
command_gives 1 profile "$work/cut"
says 'is not a heap profile'
command_gives 1 profile --svg "$work/no/such/folder" "$work/profile.gz"
command_gives 125 run --leaks -- "$known" _exit=0
says 'left no profile'
