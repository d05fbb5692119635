#!/bin/bash
# timeout: 240
# The API tests that take little time, each of their allocations failing in turn: see injected.bash.
source "$(dirname "$0")/injected.bash"

seconds=5 step=2
[[ ${CAIRN_TEST_LONG:-} != 1 ]] || seconds=150 step=12
for test in test_aligned test_walk test_operators test_cpp test_compat_allegro test_symbols test_pool_stack \
    test_pool_fixed; do
    inject "$test" "$seconds" "$step"
done
passed
