#!/bin/bash
# What is around the subcommands: help, version, options, wrong arguments; docs that follow the code.
. "$(dirname "$0")/lib.bash"

version=$(sed -n 's/^#define CAIRN_VERSION_[A-Z]* //p' "$source_dir/include/cairn/cairn.h" | paste -sd.)
command_gives 0 --version
writes "cairn $version"
command_gives 0 -V
writes "cairn $version"

command_gives 0 help
for name in run trace replay pool options help; do
    grep -Eq "^  $name " "$work/out" || fail "help does not list $name"
done
cp "$work/out" "$work/help"
for form in --help -h 'help help' 'help --help'; do
    # shellcheck disable=SC2086
    command_gives 0 $form
    cmp -s "$work/out" "$work/help" || fail "$form differs from help"
done
command_gives 2
cmp -s "$work/err" "$work/help" || fail "without arguments no help on standard error"
command_gives 2 nosuch
says "^cairn: there is no command 'nosuch'"
command_gives 2 help nosuch
says "no command 'nosuch'"
for name in run trace replay pool options; do
    command_gives 0 help $name
    grep -q "^usage: cairn $name" "$work/out" || fail "help $name"
    cp "$work/out" "$work/help"
    command_gives 0 $name --help
    cmp -s "$work/out" "$work/help" || fail "$name --help differs from help $name"
done

command_gives 0 options
grep -Eq '^purge_delay ' "$work/out" || fail "options do not name purge_delay"
command_gives 0 options --markdown
cmp "$work/out" "$source_dir/docs/options.md" || fail "docs/options.md is not what \`cairn options --markdown\` prints"
command_gives 2 options --nosuch
says "cairn options: unrecognized option '--nosuch'"
command_gives 2 options more
says "no argument 'more'"

status=0
"$cairn" options >/dev/full 2>"$work/err" || status=$?
[[ $status == 125 ]] || fail "options >/dev/full: status $status"
says 'cairn: standard output: No space left'
status=0
"$cairn" --version >/dev/full 2>"$work/err" || status=$?
[[ $status == 125 ]] || fail "--version >/dev/full: status $status"

# CAIRN_CONF is not for the command's own library, which would warn, and write statistics at its exit.
export CAIRN_CONF=stats:exit,confirm_conf:true,nosuch:1
command_gives 0 options --markdown
[[ ! -s $work/err ]] || fail "options follows CAIRN_CONF"
cmp -s "$work/out" "$source_dir/docs/options.md" || fail "options follows CAIRN_CONF"
unset CAIRN_CONF

# The man page knows every subcommand and option.
page=$source_dir/docs/cairn.1
for name in run trace replay pool options help; do
    command_gives 0 help $name
    for word in $name $(grep -oE -- '^  (-[a-z], )?--[a-z]+' "$work/out" | grep -oE -- '--[a-z]+'); do
        grep -q -- "${word//-/\\\\-}" "$page" || fail "docs/cairn.1 does not have $word"
    done
done
if command -v groff >/dev/null; then
    groff -man -ww -z "$page" 2>"$work/err"
    [[ ! -s $work/err ]] || fail "docs/cairn.1"
fi

# Installed and moved, the command finds both its own library and the one for the program.
cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
doing="installed"
"$work/moved/bin/cairn" run -- "$known" blocks=3 env=LD_PRELOAD >"$work/out" 2>"$work/err" || fail "installed: run"
says '^  allocations +3$'
grep -q "^$work/moved/" "$work/out" || fail "installed: another library: $(<"$work/out")"
find "$work/moved" -name cairn.1 | grep -q '/share/man/man1/' || fail "the man page is not installed"
find "$work/moved" -name libcairn.so -delete # as where it comes with a package for developers
"$work/moved/bin/cairn" run -- "$known" >"$work/out" 2>"$work/err" || fail "installed: without libcairn.so"
echo "ok"
