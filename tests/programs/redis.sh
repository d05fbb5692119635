#!/bin/bash
# Redis: the benchmark's requests, few; then a server with threads for its clients, which forks to
# save its memory while requests go on, and is started again from what it saved.
source "$(dirname "$0")/common.bash"

need redis-server redis-server
need redis-benchmark redis-tools
both redis-server "$bench/redis.sh" 0.3

cat >"$tmp/saving" <<'END'
set -euo pipefail

client() { redis-cli -s "$PWD/socket" "$@"; }

start() {
    redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --io-threads 2 --io-threads-do-reads yes \
        --enable-debug-command yes --logfile log --appendonly "$1" &
    server=$!
    trap 'kill -KILL "$server" 2>/dev/null || true' EXIT
    for ((tries = 0; tries < 500; tries++)); do
        [[ $(client ping 2>/dev/null) != PONG ]] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.01
    done
    cat log
    exit 1
}

stop() {
    client shutdown nosave
    wait "$server"
}

# Children that save run beside the clients; their end is seen in the statistics.
settle() {
    while client info persistence | grep -qE '_in_progress:1|_scheduled:1'; do sleep 0.05; done
    client info persistence | grep -oE 'rdb_last_bgsave_status:ok|aof_last_bgrewrite_status:ok'
}

start no
client debug populate 50000 key 100
client bgsave >/dev/null
redis-benchmark -s "$PWD/socket" -q -P 16 -c 20 -n 40000 -r 1000 -d 200 -t set,hset,lpush,lpop >benchmark
client config set appendonly yes
client bgrewriteaof >/dev/null
redis-benchmark -s "$PWD/socket" -q -P 16 -c 20 -n 40000 -r 1000 -t sadd,zadd,spop,zpopmin >benchmark
settle
client flushall
client debug populate 30000 key 300
client eval 'for i = 1, 3000 do redis.call("HSET", "hash:" .. i % 50, "field" .. i, string.rep("v", i % 200)) end' 0
client dbsize
client save
before=$(client debug digest)
client bgrewriteaof >/dev/null
settle
stop
for from in yes no; do
    start $from
    [[ $(client debug digest) == "$before" ]] && echo "reloaded $before"
    stop
done
rm -rf log benchmark dump.rdb appendonlydir socket
END
both redis-server bash "$tmp/saving"
