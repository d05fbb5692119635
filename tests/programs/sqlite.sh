#!/bin/bash
# SQLite: the benchmark's database in memory; then one in a file, which must come out the same byte for byte.
source "$(dirname "$0")/common.bash"

need sqlite3 sqlite3
both sqlite3 "$bench/sqlite.sh" 0.3

cat >"$tmp/file.sql" <<'END'
PRAGMA journal_mode = wal;
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB);
INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    SELECT i, 'name ' || (i * 7919 % 20011), zeroblob(i % 300) FROM n;
INSERT INTO t SELECT 100000 + i, 'large', zeroblob(i * 500000) FROM (SELECT 1 AS i UNION SELECT 2 UNION SELECT 9);
CREATE INDEX t_name ON t (name);
CREATE VIRTUAL TABLE words USING fts5 (body);
INSERT INTO words SELECT name || ' of ' || hex(id) FROM t;
SELECT count(*), sum(length(data)) FROM t WHERE name GLOB '*9*';
SELECT count(*), sum(rowid) FROM words WHERE words MATCH 'name AND 7*';
UPDATE t SET data = data || name WHERE id % 2;
DELETE FROM t WHERE id % 5 = 0;
VACUUM;
PRAGMA integrity_check;
.dump t
END
both sqlite3 bash -c "sqlite3 -batch test.db <'$tmp/file.sql' | cksum"
