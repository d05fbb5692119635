# lib.bash - for the tests of the command: sourced, not run.  NAME.sh BUILD_DIR
#
#   command_gives STATUS ARGUMENT...   runs `cairn ARGUMENT...`; what it writes goes to $work/out and $work/err
#   says REGEX, says_not REGEX         about a line of $work/err
#   writes TEXT                        $work/out is TEXT
#   holds EXPRESSION                   in Python, about r, the contents of $work/json
#
# $known is a program that does what its arguments say (known.c).  Each first surprise ends the script, and no
# run may leave a file in TMPDIR behind.
# shellcheck shell=bash disable=SC2034 # variables for the scripts that source this

set -euo pipefail
export LC_ALL=C
unset LD_PRELOAD CAIRN_CONF CAIRN_LIBRARY

[[ $# == 1 ]] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
cairn=$build/cairn
library=$(realpath "$build/libcairn.so")
work=$(mktemp -d "${TMPDIR:-/tmp}/cairn-command.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/scratch"
export TMPDIR=$work/scratch
known=$work/known
gcc -O1 -fno-builtin -Wall -o "$known" "$here/known.c"

fail() {
    printf '%s: FAILED: %s\n' "$(basename "$0")" "$*"
    for file in out err; do
        [[ ! -s $work/$file ]] || { echo "-- $file:"; head -n 30 "$work/$file"; }
    done
    exit 1
}

command_gives() {
    local expected=$1 status=0
    shift
    doing="cairn $*"
    "$cairn" "$@" >"$work/out" 2>"$work/err" || status=$?
    [[ $status == "$expected" ]] || fail "$doing: status $status, not $expected"
    [[ -z $(ls -A "$work/scratch") ]] || fail "$doing: leaves files behind: $(ls -A "$work/scratch")"
}

says() {
    grep -Eq -- "$1" "$work/err" || fail "$doing: does not say: $1"
}

says_not() {
    ! grep -Eq -- "$1" "$work/err" || fail "$doing: says: $1"
}

writes() {
    [[ $(<"$work/out") == "$1" ]] || fail "$doing: does not write: $1"
}

holds() {
    python3 -m json.tool "$work/json" >/dev/null || fail "$doing: writes no JSON"
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' \
        "$work/json" "$1" || { cat "$work/json"; fail "$doing: does not hold: $1"; }
}
