#!/bin/bash
# Python: parts of its own regression tests with its own small-object allocator before the
# library and with every object from the library; the benchmark's work, small.
source "$(dirname "$0")/common.bash"

need /usr/bin/python3 python3
/usr/bin/python3 -c 'import test.test_list, test.test_json' 2>/dev/null ||
    fail "python3's regression tests are missing: install the package libpython3.11-testsuite"

tests=(test_list test_dict test_set test_bytes test_unicode test_json test_re test_collections test_descr test_gc
    test_weakref test_memoryview test_array test_decimal test_struct test_zlib test_bz2 test_ctypes test_mmap
    test_sqlite3 test_threading test_thread test_queue test_fork1 test_pickle test_exceptions)

# The report names durations, so only the verdict is printed; with all of it, if there was a failure.
cat >"$tmp/regression" <<'END'
set -euo pipefail
/usr/bin/python3 -B -m test -j2 "$@" >report 2>&1 || { cat report; exit 1; }
grep -E '^(All .* tests OK|Result: |== Tests result: )' report
find . -mindepth 1 -delete
END

both python3 bash "$tmp/regression" "${tests[@]}"
both python3 PYTHONMALLOC=malloc bash "$tmp/regression" "${tests[@]}"
both python3 "$bench/python.sh" 0.3
