#!/bin/bash
# run-abuse fails for a program that survives, dies of something else, or says something else.
. "$(dirname "$0")/lib.bash"

# program EXPECTATION SHELL_COMMAND
program() {
    printf '%b\n' "$1" >"$work/t.c"
    printf '#!/bin/sh\n%s\n' "$2" >"$work/t"
    chmod +x "$work/t"
}
checked() {
    "$source_dir/tests/run-abuse" "$work/t.c" "$work/t"
}
program '// expect: double free of 0x[0-9a-f]+' 'echo "cairn: double free of 0x10" >&2; kill -ABRT $$'
must_pass "the message, then SIGABRT" checked
program '// expect: double free' 'echo "cairn: invalid pointer" >&2; kill -ABRT $$'
must_fail "another message" 'nothing on standard error matches: double free' checked
program '// expect: double free' 'echo "cairn: double free" >&2'
must_fail "it survives" 'ended with status 0, expected to die by SIGABRT' checked
program '// expect: double free' 'echo "cairn: double free" >&2; kill -SEGV $$'
must_fail "it dies by SIGSEGV" 'ended with status 139' checked
program '// expect: one\n// expect: two' 'echo one >&2; kill -ABRT $$'
must_fail "the second of two messages is missing" 'matches: two' checked
program '// expect-exit: 0\n// expect: ignored' 'echo ignored >&2'
must_pass "a misuse that is survived" checked
program '// expect-exit: 0' 'exit 3'
must_fail "another exit status" 'exit status 3, expected 0' checked
program '// expect-exit: 0\n// expect-not: error' 'echo error >&2'
must_fail "a message that must not be" 'must not match: error' checked
program '// environment: A=b c\n// expect-exit: 0' '[ "$A" = "b c" ]'
must_pass "an environment" checked
program '' 'kill -ABRT $$'
must_fail "nothing is expected" 'needs a line' checked
