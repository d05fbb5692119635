#!/bin/bash
# What `cairn run` refuses, and how: before anything has run, in one line, with a status of its own.
. "$(dirname "$0")/lib.bash"

refuses() { # STATUS REGEX ARGUMENT...
    local status=$1 expression=$2
    shift 2
    command_gives "$status" run "$@"
    says "$expression"
    [[ $(wc -l <"$work/err") == 1 && ! -s $work/out ]] || fail "$doing: not one line"
}

# Arguments.
refuses 125 'which program'
refuses 125 'which program' --compare --
refuses 125 "cairn run: unrecognized option '--nosuch'" --nosuch "$known"
refuses 125 "requires an argument" --conf
for rounds in 0 -1 1001 x 3x '' 99999999999999999999; do
    refuses 125 "^cairn: --rounds $rounds: not a number from 1 to 1000$" --rounds "$rounds" "$known" out=ran
done
for conf in stats:off stats_file:x keep:1,stats_format:text; do
    refuses 125 "--conf $conf: run needs this option itself" --conf $conf "$known" out=ran
done
refuses 125 "^cairn: $work/none/json: No such file" --json "$work/none/json" "$known" out=ran

# Programs that are not there, or are none.
refuses 127 '^cairn: nosuch-program: not found in the folders of PATH$' nosuch-program
refuses 127 "^cairn: '': not found" ''
refuses 127 "^cairn: $work/nosuch: No such file" "$work/nosuch"
refuses 127 "^cairn: $known/nosuch: Not a directory" "$known/nosuch"
refuses 126 "^cairn: $work cannot be run: Is a directory" "$work"
echo text >"$work/text"
refuses 126 "^cairn: $work/text cannot be run: Permission denied" "$work/text"
PATH=$work:$PATH refuses 126 "^cairn: $work/text cannot be run: Permission denied" text
for path in ":$PATH" "$PATH:" "$PATH::/none"; do # nothing between colons is the current folder
    (cd "$work" && PATH=$path command_gives 0 run known)
done
chmod +x "$work/text"
refuses 126 'neither an ELF program nor a script' "$work/text"
: >"$work/empty"
chmod +x "$work/empty"
refuses 126 'neither an ELF program nor a script' "$work/empty"

# Programs into which the loader preloads nothing.
gcc -O1 -static -fno-builtin -o "$work/static" "$here/known.c"
refuses 126 "^cairn: $work/static is statically linked: " "$work/static" out=ran
gcc -O1 -static-pie -fno-builtin -o "$work/static-pie" "$here/known.c"
refuses 126 'is statically linked: ' "$work/static-pie" out=ran
cp "$known" "$work/narrow"
printf '\001' | dd of="$work/narrow" bs=1 seek=4 conv=notrunc status=none
refuses 126 'for another kind of machine than libcairn.so \(32 bits, not 64\)' "$work/narrow"
cp "$known" "$work/foreign"
printf '\377' | dd of="$work/foreign" bs=1 seek=18 conv=notrunc status=none
refuses 126 'for another kind of machine' "$work/foreign"
sed 's#/lib64/ld-linux#/lib64/no-linux#' "$known" >"$work/lost"
chmod +x "$work/lost"
refuses 127 "^cairn: $work/lost cannot be run: the loader that it asks for is missing" "$work/lost"

# Scripts: what counts is their interpreter.
script() { # NAME INTERPRETER
    printf '#!%s\n' "$2" >"$work/$1"
    chmod +x "$work/$1"
}
script by-static "$work/static"
refuses 126 "^cairn: $work/static is statically linked" "$work/by-static"
script by-script "  $work/by-static -x"
refuses 126 "^cairn: $work/static is statically linked" "$work/by-script"
script by-none "$work/none"
refuses 127 "by-none: its interpreter '$work/none': No such file" "$work/by-none"
script by-itself "$work/by-itself"
refuses 126 'Too many levels of symbolic links' "$work/by-itself"
script by-nothing ''
refuses 127 "its interpreter '': No such file" "$work/by-nothing"
script by-known "$known out=interpreted"
cat "$work/by-known" >"$work/copy=0" # the script's name is the program's last argument
chmod +x "$work/copy=0"
(cd "$work" && PATH=$PATH:. command_gives 0 run 'copy=0' </dev/null)
writes 'interpreted'
says '^cairn: copy=0: status 0$'

# Programs that gain rights: those of another user, a group, capabilities.
cp "$known" "$work/own"
chmod u+s "$work/own"
command_gives 0 run "$work/own" # no gain for its owner
if [[ $(id -u) == 0 ]]; then
    cp "$known" "$work/setuid"
    chown nobody "$work/setuid"
    chmod 4755 "$work/setuid"
    refuses 126 "^cairn: $work/setuid is set-user-ID: the loader ignores LD_PRELOAD" "$work/setuid" out=ran
    script by-setuid "$work/setuid"
    refuses 126 "$work/setuid is set-user-ID" "$work/by-setuid"
    cp "$known" "$work/setgid"
    chgrp nogroup "$work/setgid"
    chmod 2755 "$work/setgid"
    refuses 126 "$work/setgid is set-group-ID" "$work/setgid" out=ran
    if command -v setcap >/dev/null && cp "$known" "$work/able" && setcap cap_net_raw+ep "$work/able"; then
        command_gives 0 run "$work/able" # root has them anyway
        cp "$cairn" "$build"/libcairn*.so* "$work"
        status=0
        LD_LIBRARY_PATH=$work setpriv --reuid nobody --clear-groups env TMPDIR=/tmp "$work/cairn" run "$work/able" \
            out=ran >"$work/out" 2>"$work/err" || status=$?
        doing="run as nobody"
        [[ $status == 126 ]] || fail "file capabilities: status $status"
        says "$work/able has file capabilities"
    fi
else
    for program in passwd su mount; do
        [[ -u $(command -v $program) ]] || continue
        refuses 126 'is set-user-ID: the loader ignores LD_PRELOAD' $program --version
        break
    done
fi

# The library.
CAIRN_LIBRARY=$work/none refuses 125 "^cairn: CAIRN_LIBRARY=$work/none: No such file" "$known" out=ran
CAIRN_LIBRARY=$work/text refuses 125 "^cairn: $work/text is no shared library" "$known" out=ran
mkdir "$work/with blank"
cp "$library" "$work/with blank/libcairn.so"
CAIRN_LIBRARY="$work/with blank/libcairn.so" refuses 125 'LD_PRELOAD cannot hold' "$known" out=ran
mkdir -p "$work/alone/bin"
cp "$cairn" "$work/alone/bin"
there=$cairn
cairn=$work/alone/bin/cairn
export LD_LIBRARY_PATH=$build
refuses 125 "^cairn: there is no libcairn.so in $work/alone/bin or $work/alone/bin/\.\./lib.*set CAIRN_LIBRARY" \
    "$known" out=ran
CAIRN_LIBRARY=$library command_gives 0 run "$known" out=ran
writes ran
cairn=$there
unset LD_LIBRARY_PATH

# What fails after the program has run keeps its output.
command_gives 125 run --json /dev/full "$known" out=ran
writes ran
says '^cairn: /dev/full: No space left'
echo "ok"
