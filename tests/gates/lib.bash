# lib.bash - for the scripts of this folder: sourced, not run.
#
#   must_pass WHAT COMMAND...           the gate lets the good case through
#   must_fail WHAT REGEX COMMAND...     the gate stops the bad case, and its output says why
#
# Each prints one line; the first surprise ends the script with status 1 and the output of the command.
# shellcheck shell=bash disable=SC2034 # variables for the scripts that source this

set -euo pipefail
build=$(cd "$1" && pwd)
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
gates=$source_dir/tests/gates
scripts=$source_dir/scripts
work=$(mktemp -d "${TMPDIR:-/tmp}/cairn-gate.XXXXXX")
trap 'rm -rf "$work"' EXIT

must_pass() {
    local what=$1 output
    shift
    if ! output=$("$@" 2>&1); then
        printf 'should pass, but fails: %s\n%s\n' "$what" "$output"
        exit 1
    fi
    echo "passes: $what"
}

must_fail() {
    local what=$1 expression=$2 output
    shift 2
    if output=$("$@" 2>&1); then
        printf 'should fail, but passes: %s\n%s\n' "$what" "$output"
        exit 1
    fi
    if ! grep -Eq -- "$expression" <<<"$output"; then
        printf 'fails, but without a word that matches "%s": %s\n%s\n' "$expression" "$what" "$output"
        exit 1
    fi
    echo "fails as it should: $what"
}
