#!/bin/bash
# clang-tidy with our settings finds what it should; that the sources pass is `make lint`'s matter.
. "$(dirname "$0")/lib.bash"

tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
mkdir -p "$work/src"
checked() {
    "$tidy" --quiet "--config-file=$source_dir/.clang-tidy" "$work/src/t.c" -- -std=gnu11
}
printf 'int f(const int *a);\nint f(const int *a)\n{\n    return a ? *a : 0;\n}\n' >"$work/src/t.c"
must_pass "code without fault" checked
printf 'int f(const int *a);\nint f(const int *a)\n{\n    if (!a)\n        return *a;\n    return 0;\n}\n' >"$work/src/t.c"
must_fail "a null pointer is followed" 'clang-analyzer-core.NullDereference' checked
printf '#include <string.h>\nvoid f(char *a);\nvoid f(char *a)\n{\n    memset(a, 0, sizeof(a) == 8 ? 0 : 0);\n    if (a) {\n    };\n    for (float x = 0; x < 10; x += 1)\n        a[0]++;\n}\n' \
    >"$work/src/t.c"
must_fail "a loop that counts in floats" 'cert-flp30-c' checked
{
    echo 'int f(int a);'
    printf 'int f(int a)\n{\n'
    for i in $(seq 90); do echo "    a = a * $((i + 2));"; done
    printf '    return a;\n}\n'
} >"$work/src/t.c"
must_fail "a function of 90 lines" 'readability-function-size' checked
