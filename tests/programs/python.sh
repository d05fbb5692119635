#!/bin/bash
# Python: parts of its own regression tests with its own small-object allocator before the
# library and with every object from the library; the benchmark's work, small.
source "$(dirname "$0")/common.bash"

need /usr/bin/python3 python3
/usr/bin/python3 -c 'import test.test_list, test.test_json' 2>/dev/null ||
    fail "python3's regression tests are missing: install the package libpython3.11-testsuite"

objects=(test_list test_dict test_set test_bytes test_unicode test_json test_re test_collections test_descr test_gc
    test_weakref test_memoryview test_array test_struct test_exceptions)
system=(test_decimal test_pickle test_zlib test_bz2 test_lzma test_ctypes test_mmap test_threading test_fork1)

# The report names durations, so only the verdict is printed; with all of it, if there was a failure.
cat >"$tmp/regression" <<'END'
set -euo pipefail
/usr/bin/python3 -B -m test -j2 "$@" >report 2>&1 || { cat report; exit 1; }
grep -E '^(All .* tests OK|Result: |== Tests result: )' report
find . -mindepth 1 -delete
END

# Debian's package leaves out test_sqlite3; this takes its place.
cat >"$tmp/database.py" <<'END'
import sqlite3, threading, zlib

sums = {}

def work(seed):
    db = sqlite3.connect(":memory:")
    db.create_function("crc", 1, lambda text: zlib.crc32(text.encode()), deterministic=True)
    db.create_aggregate("join_all", 1, type("Join", (), {
        "__init__": lambda self: setattr(self, "parts", []),
        "step": lambda self, value: self.parts.append(str(value)),
        "finalize": lambda self: "".join(self.parts)}))
    db.create_collation("backwards", lambda a, b: (a[::-1] > b[::-1]) - (a[::-1] < b[::-1]))
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
    rows = ((i, f"name {i * seed % 9973}", bytes(i % 500)) for i in range(10000))
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    rows = db.execute("SELECT name, crc(name), length(data) FROM t ORDER BY name COLLATE backwards, id").fetchall()
    text = db.execute("SELECT join_all(name) FROM t WHERE id % 3").fetchone()[0]
    other = sqlite3.connect(":memory:")
    db.commit()
    db.backup(other)
    sums[seed] = zlib.crc32((repr(rows) + text + "\n".join(other.iterdump())).encode())

threads = [threading.Thread(target=work, args=(seed,)) for seed in (7, 31, 101)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(sums.items()))
END

both python3 bash "$tmp/regression" "${objects[@]}" "${system[@]}"
both python3 PYTHONMALLOC=malloc bash "$tmp/regression" "${objects[@]}"
both python3 /usr/bin/python3 -B "$tmp/database.py"
both python3 PYTHONMALLOC=malloc /usr/bin/python3 -B "$tmp/database.py"
both python3 "$bench/python.sh" 0.3
