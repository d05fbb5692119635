#!/bin/bash
# The checks of the built libraries: exported names, dependencies, thread-local data, relocations; and that
# each of them is found when it is wrong.
. "$(dirname "$0")/lib.bash"

names=$source_dir/src/front/standard-names
check=$scripts/check-library
must_pass "libcairn.so" "$check" "$build/libcairn.so" "--names=$names"
must_pass "libcairn-local.so" "$check" "$build/libcairn-local.so"
must_pass "libcairn.a" "$check" "$build/libcairn.a" "--names=$names"

# A library of our own, as the checks want it; then one flaw at a time.
mkdir -p "$work/include/cairn"
cat >"$work/include/cairn/t.h" <<'C'
#define CAIRN_API __attribute__((visibility("default")))
/* CAIRN_API int cairn_in_a_comment(void); */
CAIRN_API int cairn_one(int a);
CAIRN_API const char *cairn_two(void)
    __attribute__((cold));
C
echo malloc >"$work/names"
good='#include <cairn/t.h>
#include <stddef.h>
int cairn_one(int a) { return a; }
const char *cairn_two(void) { return ""; }
CAIRN_API void *malloc(size_t n); void *malloc(size_t n) { return n ? (void *)0 : (void *)8; }
int internal(void); int internal(void) { return 1; }
'
# library CODE OPTION...: builds t.so
library() {
    printf '%s' "$1" >"$work/t.c"
    shift
    gcc -O1 -w -fPIC -fno-builtin -fvisibility=hidden "-I$work/include" -shared -o "$work/t.so" "$work/t.c" \
        "-Wl,--version-script=$source_dir/src/front/exports.map" "$@"
}
checked() {
    "$check" "$work/t.so" "--names=$work/names" "--include=$work/include"
}

library "$good"
must_pass "a good library" checked
library "$good CAIRN_API int span_carve(void) { return 1; }"
must_fail "an internal name leaks" 'exports span_carve, which no header declares' checked
library "$good CAIRN_API int cairn_secret(void) { return 1; }"
must_fail "a name that no header declares" 'exports cairn_secret, which no header' checked
library "${good/const char \*cairn_two(void)/static const char *cairn_two_(void)}"
must_fail "a declared name is missing" 'does not export cairn_two' checked
library "${good/CAIRN_API void \*malloc(size_t n);/}"
must_fail "malloc is missing" 'does not export malloc' checked
echo 'V1 { global: malloc; }; CAIRN_0.1 { global: cairn_one; }; CAIRN_0.2 { global: cairn_two; };' >"$work/map"
library "$good" "-Wl,--version-script=$work/map" 2>/dev/null ||
    { sed -i '/-Wl,--version/d' "$work/t.c"; gcc -O1 -w -fPIC -fno-builtin -fvisibility=hidden "-I$work/include" \
        -shared -o "$work/t.so" "$work/t.c" "-Wl,--version-script=$work/map"; }
must_fail "malloc has a version" "malloc has the version 'V1', but must have none" checked
must_fail "a name has the wrong version" "cairn_two has the version 'CAIRN_0.2', not" checked
library "$good double cos(double); double turn(double x) { return cos(x); }
    CAIRN_API double (*keep)(double) = turn;" -Wl,--no-as-needed -lm
must_fail "a dependency" 'needs libm.so.6' checked
library "$good static __thread char big[17]; int use(void); CAIRN_API char *keep(void) { return big; }"
must_fail "too much thread-local data" 'has 17 bytes of thread-local data, more than 16' checked
library "$good __asm__(\".text; .quad cairn_one\");" -Wl,-z,notext 2>/dev/null
must_fail "a relocation in the code" 'TEXTREL' checked
library "$good" -Wl,-z,execstack 2>/dev/null
must_fail "an executable stack" 'executable stack' checked

gcc -O1 -w -fno-builtin "-I$work/include" -c -o "$work/t.o" "$work/t.c"
ar rcs "$work/t.a" "$work/t.o"
must_fail "an archive with an internal name" 'exports internal' \
    "$check" "$work/t.a" "--names=$work/names" "--include=$work/include"
