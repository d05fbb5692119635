#!/bin/bash
# Redis: a server without persistence, a load whose digest is known, then pipelined benchmark requests.
source "$(dirname "$0")/common.bash"

need redis-server redis-server
need redis-benchmark redis-tools
temporary_directory

# Debian's server is linked with jemalloc. With no allocator under test, glibc's malloc is put before it.
: "${preload:=libc.so.6}"

LD_PRELOAD=$preload redis-server --port 0 --unixsocket "$tmp/socket" --dir "$tmp" --logfile "$tmp/log" \
    --save '' --appendonly no --daemonize no --jemalloc-bg-thread no --enable-debug-command yes &
server=$!
trap 'kill -KILL "$server" 2>/dev/null || true; rm -rf "$tmp"' EXIT

client() { redis-cli -s "$tmp/socket" "$@"; }

for ((tries = 0; tries < 500; tries++)); do
    [[ $(client ping 2>/dev/null) != PONG ]] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.01
done
[[ $(client ping) == PONG ]] || { cat "$tmp/log" >&2; die "the server does not answer"; }

# The same commands every time: strings of all lengths, of which a third stays; appends, hashes and sorted sets.
awk -v n="$(scaled 120000)" 'BEGIN {
    x = sprintf("%400s", ""); gsub(/ /, "x", x)
    for (i = 1; i <= n; i++) print "SET key:" i, substr(x, 1, 1 + i * 37 % 400)
    for (i = 1; i <= n; i++) if (i % 3) print "DEL key:" i
    for (i = 3; i <= n; i += 3) {
        print "APPEND key:" i, substr(x, 1, i % 60 + 1)
        print "HSET hash:" i % 500, "field:" i, substr(x, 1, i % 90 + 1)
        if (i % 5 == 0) print "ZADD sorted", i * 7919 % 100003, "member:" i
    }
}' | client --pipe | grep -E '^(errors|ERR)'
echo "keys $(client dbsize)"
echo "digest $(client debug digest)"

# Then keys at random in the memory that was left; only what does not depend on them is printed.
for test in set lpush hset zadd lpop; do
    redis-benchmark -s "$tmp/socket" -P 16 -n "$(scaled 150000)" -r 100000 -d 64 -t "$test" -q >"$tmp/benchmark" ||
        { cat "$tmp/benchmark" >&2; die "redis-benchmark failed at $test"; }
    echo "$test $(client llen mylist)"
done

client shutdown nosave
wait "$server" || die "the server ended with status $?"
