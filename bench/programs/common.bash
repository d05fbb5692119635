# Shared by the benchmark programs; sourced by them, not run.
#
#   NAME.sh [SCALE]   SCALE 1 (the default) takes 1 to 3 seconds with glibc's malloc.
#
# The work is fixed by SCALE alone, standard output holds results that do not depend on the
# allocator, and the status is 0 when all went well. The allocator under test is the shared
# library named by CAIRN_BENCH_PRELOAD (empty: the system's malloc). It is given to the
# measured program only, never to the shell or to the helpers around it.
# shellcheck shell=bash disable=SC2034 # the variables here serve the scripts that source this

set -euo pipefail
export LC_ALL=C

name=$(basename "$0" .sh)
inputs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/inputs
scale=${1:-1}
preload=${CAIRN_BENCH_PRELOAD:-}

die() {
    echo "$name: $*" >&2
    exit 1
}

[[ $scale =~ ^([0-9]+([.][0-9]*)?|[.][0-9]+)$ ]] || die "the scale must be a number, not '$scale'"
# The dynamic loader only warns about a library that it can't find, and carries on without it.
[[ $preload != */* || -r $preload ]] || die "no such library: $preload"

# need COMMAND PACKAGE: stop unless the command is installed.
need() {
    command -v "$1" >/dev/null || die "$1 is missing: install the package $2"
}

# scaled N: N times the scale, rounded, at least 1.
scaled() {
    awk -v n="$1" -v s="$scale" 'BEGIN { n = int(n * s + 0.5); print n < 1 ? 1 : n }'
}

# measured COMMAND...: run the command on the allocator under test, under CAIRN_BENCH_WRAPPER if that is set: words of
# a command that counts what it does.
measured() {
    read -ra wrapper <<<"${CAIRN_BENCH_WRAPPER:-}"
    LD_PRELOAD=$preload "${wrapper[@]}" "$@"
}

# temporary_directory: sets tmp to a new directory, which goes away at exit.
temporary_directory() {
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/cairn-bench-$name.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
}
