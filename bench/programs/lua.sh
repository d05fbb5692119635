#!/bin/bash
# Lua: binary trees, strings, tables, sorting, closures. Every block comes from realloc and free.
source "$(dirname "$0")/common.bash"

need lua5.4 lua5.4
measured lua5.4 "$inputs/lua.lua" "$(scaled 100)"
