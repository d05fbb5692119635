#!/bin/bash
# Z3: bit-vectors, arrays, quantifiers and integers.
source "$(dirname "$0")/common.bash"

need z3 z3
problems=$(grep -c '^(reset)' "$inputs/z3.smt2")
take=$(scaled "$problems")

for ((i = take; i > 0; i -= problems)); do
    awk -v take="$i" 'n < take; /^\(reset\)/ { n++ }' "$inputs/z3.smt2"
done | measured z3 -in
