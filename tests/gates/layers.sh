#!/bin/bash
# The layer check: src/ passes, and each kind of violation is found.
. "$(dirname "$0")/lib.bash"

must_pass "src/" "$scripts/check-layers"

# compat FILE LINE: a tree of one compatibility source with that line in it.
compat() {
    rm -rf "$work/src" "$work/compat"
    mkdir -p "$work/src" "$work/compat/$(dirname "$1")"
    printf '%s\n' "$2" >"$work/compat/$1"
}
compat one/a.c '#include <cairn/cairn.h>'
must_pass "compat with a public header" "$scripts/check-layers" "$work/src"
compat one/a.c '#include "engine/types.h"'
must_fail "compat with an internal header" 'compat/one/a.c:1: .*public headers only' "$scripts/check-layers" "$work/src"
compat one/a.c '#include "../../src/engine/types.h"'
must_fail "compat with an internal path" 'compat/one/a.c:1: .*public headers only' "$scripts/check-layers" "$work/src"
rm -rf "$work/compat"

# tree FILE LINE: a source tree of one file with that line in it.
tree() {
    rm -rf "$work/src"
    mkdir -p "$work/src/$(dirname "$1")"
    printf '%s\n' "$2" >"$work/src/$1"
}
bad() {
    tree "$1" "$2"
    must_fail "$1 with $2" "src/$1:1: .*$3" "$scripts/check-layers" "$work/src"
}
good() {
    tree "$1" "$2"
    must_pass "$1 with $2" "$scripts/check-layers" "$work/src"
}

good engine/a.c '#include "os/os.h"'
good front/a.c '#include "persist/file.h"'
good front/a.c '#include <cairn/cairn.h>'
good observe/a.h '#include "cairn/cairn.h"'
good os/a.c '#include <sys/mman.h>'
good cli/a.c '#include <jansson.h>'
good pool/a.c '#include <errno.h>'

bad base/a.h '#include "os/os.h"' 'base may not use os'
bad os/a.c '#include "source/source.h"' 'os may not use source'
bad source/a.c '#include "engine/types.h"' 'source may not use engine'
bad engine/a.h '  #  include "pool/pool.h"' 'engine may not use pool'
bad pool/a.c '#include "front/malloc.h"' 'pool may not use front'
bad observe/a.c '#include "persist/file.h"' 'observe may not use persist'
bad persist/a.c '#include "observe/stats.h"' 'persist may not use observe'
bad cli/a.c '#include "engine/types.h"' 'public headers only'
bad base/a.c '#include <cairn/cairn.h>' 'knows nothing of the public interface'
bad os/a.h '#include "cairn/cairn.h"' 'knows nothing of the public interface'
bad engine/a.c '#include <sys/mman.h>' 'system headers belong in os/'
bad front/a.c '#include <pthread.h>' 'system headers belong in os/'
bad engine/a.c '#include "types.h"' 'an include names its folder'
bad engine/a.c '#include "../pool/pool.h"' 'no such layer'
bad engine/a.c '#include HEADER' 'not a macro'
bad elsewhere/a.c '' 'not in the folder of a layer'
