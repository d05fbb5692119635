#!/bin/bash
# Z3: the benchmark's problems, all of them once.
source "$(dirname "$0")/common.bash"

need z3 z3
both z3 "$bench/z3.sh" 1
