#!/bin/bash
# Python with every object from malloc, unless CAIRN_BENCH_PYTHONMALLOC says otherwise: JSON, dicts, classes, text.
source "$(dirname "$0")/common.bash"

need /usr/bin/python3 python3
export "PYTHONMALLOC=${CAIRN_BENCH_PYTHONMALLOC:-malloc}" PYTHONHASHSEED=0
measured /usr/bin/python3 -B "$inputs/python.py" "$(scaled 100)"
