# The programs of bench/, built by `make bench` only, into build/bench/.

add_custom_target(benches)
add_subdirectory(bench EXCLUDE_FROM_ALL)
