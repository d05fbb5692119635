#!/bin/bash
# Lua: the benchmark's trees, strings and tables, small.
source "$(dirname "$0")/common.bash"

need lua5.4 lua5.4
both lua5.4 "$bench/lua.sh" 0.3
