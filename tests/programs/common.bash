# Shared by the tests with real programs; sourced by them, not run.
#
#   NAME.sh BUILD_DIR     BUILD_DIR holds libcairn.so; CAIRN_TEST_LIBRARY names another library
#
# Each test runs a program twice, plain and with the library preloaded, in a directory of the same
# name. Status, standard output, standard error and every file left behind must be the same, and
# the loader's own log must show that malloc and its family came from the library in every process
# of the run. A program that is missing is a failure.
# shellcheck shell=bash disable=SC2034 # the variables here serve the scripts that source this

set -euo pipefail
export LC_ALL=C TZ=UTC
unset LD_PRELOAD CAIRN_BENCH_PRELOAD

name=$(basename "$0" .sh)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bench=$(cd "$here/../../bench/programs" && pwd)

fail() {
    echo "$name: FAILED: $*" >&2
    exit 1
}

[[ $# == 1 || -n ${CAIRN_TEST_LIBRARY:-} ]] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
library=$(realpath -m "${CAIRN_TEST_LIBRARY:-$1/libcairn.so}")
[[ -r $library ]] || fail "no such library: $library"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cairn-test-$name.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# need COMMAND PACKAGE: fail unless the command is installed.
need() {
    command -v "$1" >/dev/null || fail "$1 is missing: install the package $2"
}

# run_in DIRECTORY COMMAND...: run in $tmp/run, then keep what it left as DIRECTORY.
run_in() {
    local directory=$1 status=0
    shift
    mkdir -p "$tmp/run/files"
    (cd "$tmp/run/files" && HOME=$PWD exec timeout -k 5 120 env "$@") \
        </dev/null >"$tmp/run/stdout" 2>"$tmp/run/stderr" || status=$?
    echo "$status" >"$tmp/run/status"
    mv "$tmp/run" "$directory"
}

# both PROGRAM COMMAND...: run COMMAND plain and preloaded. PROGRAM must be among the processes.
both() {
    local program=$1 plain cairn
    shift
    plain=$(mktemp -u "$tmp/plain.XXXX")
    cairn=$(mktemp -u "$tmp/cairn.XXXX")
    run_in "$plain" "$@"
    [[ $(<"$plain/status") == 0 ]] || { tail -n 30 "$plain"/std*; fail "$program fails without the library: $*"; }
    mkdir "$cairn.loader"
    # The benchmark scripts preload what this variable says; every other process inherits LD_PRELOAD.
    run_in "$cairn" "LD_PRELOAD=$library" "CAIRN_BENCH_PRELOAD=$library" \
        LD_DEBUG=libs,bindings "LD_DEBUG_OUTPUT=$cairn.loader/log" "$@"
    diff -r "$plain" "$cairn" >"$tmp/diff" || {
        head -n 40 "$tmp/diff" | cut -c 1-200
        tail -n 10 "$cairn/stderr"
        fail "$program differs with the library (status $(<"$cairn/status")): $*"
    }
    loaded "$program" "$cairn.loader"
    echo "ok: $program, $(find "$cairn.loader" -type f | wc -l) processes, same results"
    rm -rf "$plain" "$cairn" "$cairn.loader"
}

# loaded PROGRAM DIRECTORY: read the loader's logs, one for each process.
loaded() {
    local family='malloc|calloc|realloc(array)?|free|(posix_)?memalign|aligned_alloc|malloc_usable_size'
    awk -v library="$library" -v program="$1" -v family=": normal symbol .($family)'" '
        function end_of_file() {
            if (file != "" && !ours) { print file ": malloc does not come from the library"; bad = 1 }
            ours = 0
        }
        FILENAME != file { end_of_file(); file = FILENAME }
        /\ttransferring control: / { sub(/.*\//, "", $NF); if ($NF == program) seen++ }
        $0 ~ family {
            if (index($0, " to " library " [")) ours = 1
            else if (/ to [^ ]*\/lib(c|jemalloc)\.so[^ ]* \[/ && !index($0, "file " library)) { print; bad = 1 }
        }
        END {
            end_of_file()
            if (!seen) { print program " was not among the processes"; bad = 1 }
            exit bad
        }' "$2"/log.* >"$tmp/loaded" || {
        head -n 10 "$tmp/loaded"
        fail "the library is not what $1 allocates with"
    }
}
