#!/bin/bash
# long: tests of seconds each, run hundreds of times
# The other API tests with allocations of their own, each failing in turn: see injected.bash.
source "$(dirname "$0")/injected.bash"

for test in test_sized test_second_copy test_pool test_pool_sources test_alloc test_realloc test_observe test_calloc; do
    inject "$test" 60 12
done
passed
