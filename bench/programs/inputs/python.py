"""The workload of python.sh. The argument is the amount of work; 100 is a second or two."""

import collections
import heapq
import json
import re
import sys
import zlib


def rng(seed):
    """A generator of our own, the same in every version of Python."""
    state = seed
    while True:
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        yield state >> 8


def checksum(text):
    return zlib.crc32(text.encode())


class Account:
    def __init__(self, number, owner, balance):
        self.number = number
        self.owner = owner
        self.balance = balance
        self.history = []

    def move(self, amount):
        self.balance += amount
        self.history.append((self.number, amount))
        if len(self.history) > 40:
            del self.history[:30]


class Point:
    __slots__ = ("x", "y", "label")

    def __init__(self, x, y):
        self.x, self.y, self.label = x, y, f"{x}:{y}"


def documents(amount, random):
    """Nested documents out to JSON and back."""
    records = [
        {
            "id": i,
            "name": f"customer {next(random) % 5000}",
            "active": i % 3 == 0,
            "score": (next(random) % 100000) / 8,
            "tags": [f"tag{next(random) % 50}" for _ in range(next(random) % 6)],
            "address": {"street": f"{i % 200} Main Street", "zip": f"{next(random) % 99999:05}"},
            "geo": [i / 4, -i / 8],
        }
        for i in range(120 * amount)
    ]
    text = json.dumps(records, sort_keys=True)
    back = json.loads(text)
    assert back == records
    by_tag = collections.defaultdict(list)
    for record in back:
        for tag in record["tags"]:
            by_tag[tag].append(record)
    sums = {tag: (len(found), sum(r["score"] for r in found)) for tag, found in by_tag.items()}
    indented = json.dumps(back[: 20 * amount], indent=2)
    return checksum(text), checksum(indented), checksum(repr(sorted(sums.items())))


def dictionaries(amount, random):
    """Dicts that grow, shrink and are rebuilt; counting; sets."""
    counts, total = {}, 0
    for _ in range(3000 * amount):
        key = (next(random) % 1000, f"k{next(random) % 97}")
        counts[key] = counts.get(key, 0) + 1
    for key in sorted(counts)[::2]:
        total += counts.pop(key)
    inverse = {}
    for key, n in counts.items():
        inverse.setdefault(n, set()).add(key)
    return len(counts), total, checksum(repr(sorted((n, sorted(keys)) for n, keys in inverse.items())))


def objects(amount, random):
    """Instances with dicts, instances with slots, an event queue."""
    accounts = [Account(i, f"owner {i}", 1000) for i in range(20 * amount)]
    events = []
    for i in range(1000 * amount):
        heapq.heappush(events, (next(random), i, accounts[next(random) % len(accounts)]))
        if len(events) > 3000:
            when, _, account = heapq.heappop(events)
            account.move(when % 200 - 100)
    grid = [Point(next(random) % 1000, next(random) % 1000) for _ in range(1000 * amount)]
    grid.sort(key=lambda p: (p.x, p.y))
    cells = collections.Counter((p.x // 50, p.y // 50) for p in grid)
    return (
        checksum(repr([(a.balance, a.history) for a in accounts])),
        checksum("".join(p.label for p in grid)),
        checksum(repr(sorted(cells.items()))),
    )


def texts(amount, random):
    """Words, lines and pages: joins, splits, substitutions, byte buffers that grow."""
    words = ["".join(chr(97 + next(random) % 26) for _ in range(2 + next(random) % 9)) for _ in range(2000)]
    page, sums = bytearray(), []
    for i in range(12 * amount):
        line = " ".join(words[next(random) % len(words)] for _ in range(40))
        line = re.sub(r"[aeiou]{2,}", lambda m: m.group().upper(), line)
        parts = [w.title() if j % 3 else w[::-1] for j, w in enumerate(line.split())]
        page += "\n".join(parts).encode()
        if i % 50 == 49:
            sums.append(zlib.crc32(page))
            page = page[len(page) // 2 :]
    found = re.findall(r"\b(\w)(\w+)\b", page.decode())
    return len(found), checksum(repr(sums)), checksum("".join(a + b for b, a in found))


def main():
    amount = int(sys.argv[1])
    for seed, work in enumerate((documents, dictionaries, objects, texts)):
        print(work.__name__, *work(amount, rng(seed + 1)))


main()
