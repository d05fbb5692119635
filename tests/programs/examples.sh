#!/bin/bash
# timeout: 120
# The examples: each runs and says what it should; the ones with files are killed, reopened, and asked again.
set -u
build=$1
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
expected=$source_dir/examples/expected
work=$(mktemp -d)
server=
cleanup() {
    [[ -n $server ]] && kill -9 "$server" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

# compare NAME: what stands in $work/out is what was expected.
compare() {
    diff -u "$expected/$1.txt" "$work/out" || fail "$1 says something else"
    echo "$1: as expected"
}

for source in "$source_dir"/examples/*.c "$source_dir"/examples/*.cpp; do
    name=$(basename "${source%.*}")
    [[ -x $build/examples/$name ]] || fail "$name was not built"
    [[ -f $expected/$name.txt ]] || fail "nothing says what $name should print"
    head -n 1 "$source" | grep -q "$(basename "$source") - " || fail "$name does not say what it is for"
done

for name in "$expected"/*.txt; do
    name=$(basename "$name" .txt)
    case $name in word_index | hash_server | map_in_file) continue ;; esac
    input=/dev/null
    [[ -f $expected/$name.in ]] && input=$expected/$name.in
    timeout 30 "$build/examples/$name" <"$input" >"$work/out" 2>&1 || fail "$name ended with status $?"
    compare "$name"
done

# An index of this repository's own texts: what it says is what grep says; opening it takes no time to speak of.
cd "$source_dir" || exit 1
index=$work/words.pool
"$build/examples/word_index" "$index" docs/*.md src/pool/*.c >"$work/built" || fail "word_index does not build"
"$build/examples/word_index" "$index" >"$work/again" 2>"$work/time" || fail "word_index does not open"
diff "$work/built" "$work/again" || fail "the index is not what was built"
for word in cairn pool nevertheless; do
    counted=$(cat docs/*.md src/pool/*.c | tr -cs 'A-Za-z' '\n' | tr 'A-Z' 'a-z' | grep -cx "$word")
    found=$("$build/examples/word_index" "$index" "-$word" 2>/dev/null | head -n 1)
    [[ $found == "$word: $counted times" ]] || fail "grep finds $word $counted times, the index says: $found"
done
read -r _ _ ms _ <"$work/time"
[[ ${ms%.*} -lt 50 ]] || fail "opening the index took $ms ms"
"$build/examples/word_index" "$index" missing-file >/dev/null 2>&1 && fail "a missing file is no error"
"$build/examples/word_index" "$index" >"$work/again" 2>/dev/null
diff "$work/built" "$work/again" || fail "a build that failed harmed the index"
echo "as grep says" >"$work/out"
compare word_index

for round in 1 2 3 4; do
    "$build/examples/map_in_file" "$work/map.pool" >"$work/out" 2>&1 || fail "map_in_file, round $round"
done
compare map_in_file

# The hash server is killed at random moments while it is written to, and goes on each time.
cat >"$work/client.py" <<'END'
import os, random, signal, socket, subprocess, sys, time

program, file, path = sys.argv[1:]
known, doubtful, kills = {}, {}, 0
random.seed(int(os.environ.get("CAIRN_TEST_SEED", "7")))

def connect():
    for _ in range(500):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            return s.makefile("rw")
        except OSError:
            time.sleep(0.01)
    sys.exit("the server does not come up")

def ask(stream, line):
    stream.write(line + "\n")
    stream.flush()
    reply = stream.readline()
    if not reply.endswith("\n"):
        raise OSError("the server died")
    return reply[:-1]

def start():
    server = subprocess.Popen([program, file, path])
    print(server.pid, file=open(path + ".pid", "w"))
    return server, connect()

server, stream = start()
end = time.monotonic() + 4
while time.monotonic() < end:
    if random.random() < 0.002:
        server.send_signal(signal.SIGKILL) # it may be in the middle of anything
    key = f"key{random.randrange(300)}"
    try:
        if random.random() < 0.3:
            doubtful[key] = (known.get(key), None)
            reply, now = ask(stream, f"del {key}"), None
            assert reply == ("ok" if key in known else "none"), (key, reply)
        else:
            now = "x" * random.randrange(1, 600) + str(random.randrange(10**6))
            doubtful[key] = (known.get(key), now)
            reply = ask(stream, f"set {key} {now}")
            assert reply == "ok", reply
        known.pop(key, None) if now is None else known.__setitem__(key, now)
        del doubtful[key]
    except OSError:
        server.wait()
        os.unlink(path)
        server, stream = start()
        kills += 1
        for key, (old, new) in doubtful.items(): # the old or the new, nothing else
            reply = ask(stream, f"get {key}")
            value = reply[1:] if reply != "none" else None
            assert value in (old, new), (key, reply[:40])
            known.pop(key, None) if value is None else known.__setitem__(key, value)
        doubtful.clear()
        for key, value in known.items():
            assert ask(stream, f"get {key}") == "=" + value, key
        assert ask(stream, "count") == str(len(known))
server.send_signal(signal.SIGKILL)
server.wait()
print(f"{kills} kills", file=sys.stderr)
assert kills > 5
print(len(known))
END
left=$(timeout 60 python3 "$work/client.py" "$build/examples/hash_server" "$work/hash.pool" "$work/socket") ||
    fail "hash_server"
server=$(cat "$work/socket.pid")
# One more kill is behind it: after the next start the blocks are the pairs and the map, nothing has leaked.
rm "$work/socket"
"$build/examples/hash_server" "$work/hash.pool" "$work/socket" &
server=$!
python3 - "$work/socket" <<'END' || fail "hash_server does not answer"
import socket, sys, time
for _ in range(1000):
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect(sys.argv[1])
        s.sendall(b"count\n")
        sys.exit(not s.recv(100).strip().isdigit())
    except OSError:
        time.sleep(0.01)
sys.exit(1)
END
kill -9 $server
wait $server 2>/dev/null
server=
"$build/cairn" pool leaks "$work/hash.pool" >"$work/leaks" || fail "cairn pool leaks: $(cat "$work/leaks")"
echo "$left pairs; $(cat "$work/leaks")"
grep -q ": 0 blocks of 0 bytes cannot be reached; $((left + 1)) of " "$work/leaks" || fail "there are leaks"
echo "nothing lost, nothing torn, nothing leaked" >"$work/out"
compare hash_server
