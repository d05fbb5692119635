#!/bin/bash
# Warnings are errors, with gcc and with clang: by the flags of this build and of the clang build.
. "$(dirname "$0")/lib.bash"

compile() {
    "$1" -std=gnu11 -O2 "@$2" -c -o "$work/t.o" "$work/t.c"
}
check() {
    printf 'int f(int a);\nint f(int a)\n{\n    return a;\n}\n' >"$work/t.c"
    must_pass "$1: code without fault" compile "$1" "$2"
    printf 'static int f(int a)\n{\n    return a;\n}\n' >"$work/t.c"
    must_fail "$1: an unused function" 'error: .*(unused|defined but not used)' compile "$1" "$2"
    printf 'int f(int a)\n{\n    return a;\n}\n' >"$work/t.c"
    must_fail "$1: a function without a prototype" 'error: no previous prototype' compile "$1" "$2"
    printf 'int f(int a);\nint f(int a)\n{\n    if (a) {\n        int a = 2;\n        return a;\n    }\n    return a;\n}\n' \
        >"$work/t.c"
    must_fail "$1: a shadowed name" 'error: declaration .*shadows' compile "$1" "$2"
}
check gcc "$build/warning-flags"
if [[ -r $build/clang/warning-flags ]]; then
    check clang "$build/clang/warning-flags"
fi
