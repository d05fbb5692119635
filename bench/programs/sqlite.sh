#!/bin/bash
# SQLite: a database in memory, with inserts, indexes, joins, groups and text functions.
source "$(dirname "$0")/common.bash"

need sqlite3 sqlite3
sed "s/@ROWS@/$(scaled 120000)/g" "$inputs/sqlite.sql" | measured sqlite3 -batch :memory:
