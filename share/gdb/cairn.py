"""cairn.py - for gdb: what is this address?

    (gdb) source PREFIX/share/gdb/cairn.py
    (gdb) cairn what p->next
    0x7ffff7a01060: pool "parser" (slab), block 0x7ffff7a01050 + 16, live, 112 bytes

Reads the structures of the process or core file and calls nothing in it, so it works in any state of the program, with
its threads stopped anywhere.  It needs Cairn's debugging information.  Site: of blocks that a heap profile has sampled
or a leak tracker keeps (docs/tools.md).
"""

import struct

import gdb

PAGE_SHIFT, LEAF_SHIFT, ADDRESS_BITS, MARK_BYTES = 12, 32, 48, 16
PAGE = 1 << PAGE_SHIFT
MASK = (1 << 64) - 1
CLASSES = ("slab", "fit", "fixed", "stack")


# ---- Reading -------------------------------------------------------------------------------------------


def variable(name, file=None):
    """A variable of the library, of a file's own if `file` is given."""
    return gdb.parse_and_eval(f"'{file}'::{name}" if file else name)


def words(address, count):
    raw = gdb.selected_inferior().read_memory(address, 8 * count)
    return struct.unpack(f"<{count}Q", raw)


def bit(address, i):
    return words(address + i // 64 * 8, 1)[0] >> i % 64 & 1


def byte(address):
    return gdb.selected_inferior().read_memory(address, 1)[0][0]


def each(first, link):
    """The members of a list."""
    while int(first) != 0:
        yield first
        first = first[link]


def last_set(address, count):
    """The highest bit that is set below `count`, or -1."""
    for word in range((count + 63) // 64 - 1, -1, -1):
        value = words(address + 8 * word, 1)[0]
        if word == count // 64:
            value &= (1 << count % 64) - 1
        if value:
            return 64 * word + value.bit_length() - 1
    return -1


class Answer:
    """What is found: the state, and the block's begin and size if it is in one."""

    def __init__(self, state, block=None, size=None):
        self.state, self.block, self.size = state, block, size


# ---- Spans: the process heap, slab pools, guarded pools ------------------------------------------------


def leaf_entries(page, count):
    """The page map's words for `count` pages of one leaf."""
    leaf = int(variable("pagemap_root")[page >> (LEAF_SHIFT - PAGE_SHIFT)])
    if leaf == 0:
        return (0,) * count
    return words(leaf + 8 * (page & ((1 << (LEAF_SHIFT - PAGE_SHIFT)) - 1)), count)


def span_at(address):
    if address >> ADDRESS_BITS:
        return None
    entry = leaf_entries(address >> PAGE_SHIFT, 1)[0]
    return gdb.Value(entry).cast(gdb.lookup_type("struct span").pointer()) if entry else None


def arena_at(heap, address):
    for arena in each(heap["arenas"], "next"):
        base = int(arena["base"])
        if base <= address < base + int(arena["pages"]) * PAGE:
            return arena
    return None


def span_before(arena, address):
    """The large block that the address lies in: of these the page map has the first page only."""
    first, page = int(arena["base"]) >> PAGE_SHIFT, address >> PAGE_SHIFT
    while page >= first:
        low = max(first, page & ~1023)
        for entry in reversed(leaf_entries(low, page - low + 1)):
            if entry:
                span = gdb.Value(entry).cast(gdb.lookup_type("struct span").pointer())
                inside = address < int(span["base"]) + int(span["pages"]) * PAGE
                return span if inside else None
        page = low - 1
    return None


def is_listed(block, first, most):
    while first and most > 0:
        if first == block:
            return True
        first = words(first, 1)[0]
        most -= 1
    return False


def ask_small(span, address):
    size, base = int(span["block_size"]), int(span["base"])
    i = (address - base) // size
    block = base + i * size
    if i >= int(span["capacity"]):
        return Answer("in no block: the rest of a span")
    if i >= int(span["carved"]):
        return Answer("free, never handed out", block, size)
    if int(span["marks"]):
        live = byte((int(span["marks"]) + block // MARK_BYTES) & MASK) != 0
        return Answer("live" if live else "free", block, size)
    remote = int(span["remote"])
    if is_listed(block, int(span["free"]), int(span["capacity"])):
        return Answer("free", block, size)
    if is_listed(block, remote & ((1 << 48) - 1) & ~7, remote >> 48):
        return Answer("free, by another thread", block, size)
    return Answer("live", block, size)


def ask_span(span, address, guarded):
    base, pages = int(span["base"]), int(span["pages"])
    if guarded:
        block = int(span["free"])
        return Answer("live" if int(span["carved"]) else "free", block, base + (pages - 1) * PAGE - block)
    if int(span["block_size"]) == 0:
        return Answer("live", base, pages * PAGE)
    return ask_small(span, address)


def ask_heap(heap, span, address, guarded=False):
    if span is None:
        arena = arena_at(heap, address)
        if arena is None:
            return None
        if bit(int(arena["free"]), (address - int(arena["base"])) >> PAGE_SHIFT):
            return Answer("in no block: a free page")
        span = span_before(arena, address)
    if span is None:
        return Answer("in no block: a page on its way to the system")
    return ask_span(span, address, guarded)


# ---- Other pools ---------------------------------------------------------------------------------------


def ask_fixed(pool, address):
    fixed = pool["state"].cast(gdb.lookup_type("struct fixed").pointer())
    size = int(fixed["block_size"])
    for extent in each(fixed["all"], "next"):
        base, first = int(extent["base"]), int(extent["blocks"])
        if not base <= address < base + int(extent["size"]):
            continue
        i = (address - first) // size
        block = first + i * size
        if not 0 <= i < int(extent["capacity"]):
            return Answer("in no block: the pool's own data")
        if int(extent["slots"]["words"]):
            free = bit(int(extent["slots"]["words"]), i)
        elif i >= int(extent["carved"]):
            return Answer("free, never handed out", block, size)
        else:
            free = is_listed(block, int(extent["free"]), int(extent["capacity"]))
        return Answer("free" if free else "live", block, size)
    return None


class Ranges:
    """The two bits for each unit of a fit pool: ranges.h."""

    def __init__(self, ranges):
        self.ranges, self.known = ranges, {}
        self.units = 1 << int(ranges["tract_shift"])

    def tract(self, unit):
        first = unit // self.units * self.units
        if first not in self.known:
            self.known[first] = self.read(first)
        return self.known[first]

    def read(self, first):
        node, shift = self.ranges["root"], int(self.ranges["tract_shift"])
        while int(node) != 0:
            level = int(node["level"])
            i = (first - int(node["first"])) >> (shift + (level - 1) * 4)
            if not 0 <= i < 16:
                return None
            child = node["child"][i]
            if level == 1:
                if int(child) == 0:
                    return None
                tract = child.cast(gdb.lookup_type("struct tract").pointer())
                count = int(self.ranges["words"])
                bits = words(int(tract["bits"].address), 2 * count if self.ranges["blocks"] else count)
                return int(tract["ours"]), bits[:count], bits[count:]
            node = child.cast(node.type)
        return None

    def state(self, unit):
        """free, start, inside, or None: not the pool's."""
        tract, i = self.tract(unit), unit % self.units
        if tract is None or unit >= int(self.ranges["end"]) or not tract[0] >> i * 64 // self.units & 1:
            return None
        if tract[1][i // 64] >> i % 64 & 1:
            return "free"
        return "start" if tract[2] and tract[2][i // 64] >> i % 64 & 1 else "inside"


def ask_fit(pool, address):
    fit = pool["state"].cast(gdb.lookup_type("struct fit").pointer())
    ranges = Ranges(fit["ranges"])
    origin, shift = int(ranges.ranges["origin"]), int(ranges.ranges["unit_shift"])
    if fit["resting"] and 0 <= address - int(fit["newest"]) < int(fit["newest_units"]) << shift:
        return Answer("free")
    unit = (address - origin) >> shift
    state = ranges.state(unit) if unit >= 0 else None
    if state is None:
        return Answer("in no block: the pool's own data")
    if state == "free":
        return Answer("free")
    if not ranges.ranges["blocks"]:
        return Answer("live; the pool does not know where its blocks begin")
    first, end = unit, unit + 1
    while ranges.state(first) == "inside":
        first -= 1
    while ranges.state(end) == "inside":
        end += 1
    return Answer("live", origin + (first << shift), (end - first) << shift)


def ask_stack(pool, address):
    stack = pool["state"].cast(gdb.lookup_type("struct stack").pointer())
    shift = int(stack["unit_shift"])
    for chunk in each(stack["newest"], "older"):
        base, top = int(chunk["base"]), int(chunk["top"])
        if not base <= address < base + (int(chunk["units"]) << shift):
            continue
        unit = (address - base) >> shift
        if unit >= top:
            return Answer("free")
        first, end = last_set(int(chunk["starts"]), unit + 1), unit + 1
        while end < top and not bit(int(chunk["starts"]), end):
            end += 1
        live = bit(int(chunk["live"]), first)
        return Answer("live" if live else "free", base + (first << shift), (end - first) << shift)
    return Answer("in no block: the pool's own data")


# ---- Which heap, which pool ----------------------------------------------------------------------------


def pools():
    return each(variable("pools_all"), "next")


def pool_of(span, address):
    """The pool of an address, or None.  A buffer may be a block of the heap or of another pool: the innermost counts."""
    inside = [pool for pool in pools() if int(pool["buffer"]) <= address < int(pool["buffer_end"])]
    if inside:
        return max(inside, key=lambda pool: int(pool["buffer"]))
    if span is not None:
        for pool in pools():
            if int(span) == int(pool["extent"].address):
                return pool
        arena = span["arena"]
        owner = arena["heap"]["config"]["owner"] if int(arena) else 0
        return owner.cast(gdb.lookup_type("struct cairn_pool").pointer()) if int(owner) else None
    for pool in pools():
        begin = int(pool["range"])
        if begin <= address < begin + int(pool["range_size"]):
            return pool
        if is_of_engine(pool) and arena_at(heap_of(pool), address) is not None:
            return pool
    return None


def is_of_engine(pool):
    operations = int(pool["ops"])
    return operations not in [int(variable(f"&pool_{name}")) for name in ("fit", "fixed", "stack")]


def heap_of(pool):
    return pool["state"].cast(gdb.lookup_type("struct heap").pointer())


def ask_pool(pool, span, address):
    operations = int(pool["ops"])
    for name, ask in (("fit", ask_fit), ("fixed", ask_fixed), ("stack", ask_stack)):
        if operations == int(variable(f"&pool_{name}")):
            return ask(pool, address)
    return ask_heap(heap_of(pool), span, address, operations == int(variable("&pool_guard")))


def name_of(pool):
    name = pool["name"].string(errors="replace")
    kind = int(pool["pool_class"])
    return f'pool "{name}" ({CLASSES[kind] if kind < len(CLASSES) else kind})'


# ---- Where it was allocated ----------------------------------------------------------------------------


def code(address):
    """FUNCTION at FILE:LINE of a return address."""
    where = gdb.find_pc_line(address - 1)
    function = gdb.execute(f"info symbol {address - 1:#x}", to_string=True).split(" in section")[0]
    function = hex(address) if function.startswith("No symbol") else function.split(" + ")[0]
    return f"{function} at {where.symtab.filename}:{where.line}" if where.symtab else function


def profiled(block):
    """The stack of a sample of the heap profile."""
    books = variable("books", "profile.c")
    heads = int(books["live_heads"])
    if heads == 0:
        return []
    value = (1 ^ block) * 0x9FB21C651E98DF25 & MASK
    for sample in each(books["live"][(value ^ value >> 29) & (heads - 1)], "next"):
        if int(sample["block"]) == block:
            site = sample["site"]
            return [code(int(site["callers"][i])) for i in range(int(site["depth"]))]
    return []


def tracked(block):
    """The place that a leak tracker keeps."""
    leaks = gdb.lookup_type("struct leaks").pointer()
    value = (block >> 3) * 0x9E3779B97F4A7C15 & MASK
    for tool in each(variable("tools", "tool.c"), "next"):
        if int(tool["kind"]) != int(variable("&leaks_kind")):
            continue
        shard = tool.cast(leaks)["live"]["shards"][value >> 58]
        room, at = int(shard["room"]), value >> 20
        for i in range(room):
            entry = shard["blocks"][(at + i) & (room - 1)]
            if int(entry["address"]) == 0:
                break
            if int(entry["address"]) == block:
                place = variable("table", "place.c")["by_id"][int(entry["place"])]
                if int(place) == 0:
                    break
                if int(place["file"]) == 0:
                    return [code(int(place["address"]))]
                function = place["func"].string() if int(place["func"]) else "?"
                size = int(entry["size"])
                return [f"{function} at {place['file'].string()}:{int(place['line'])}, {size} bytes asked for"]
    return []


# ---- The command ---------------------------------------------------------------------------------------


def what(address):
    """The answer as lines of text."""
    span = span_at(address)
    pool = pool_of(span, address)
    if pool is not None:
        owner, answer = name_of(pool), ask_pool(pool, span, address)
    else:
        owner, answer = "the process heap", ask_heap(variable("process_heap"), span, address)
    if answer is None:
        return [f"{address:#x}: nothing of Cairn's"]
    text = f"{address:#x}: {owner}"
    if answer.block is None:
        return [f"{text}, {answer.state}"]
    offset = f" + {address - answer.block}" if address != answer.block else ""
    lines = [f"{text}, block {answer.block:#x}{offset}, {answer.state}, {answer.size} bytes"]
    if answer.state == "live":
        lines += ["    allocated by " + site for site in tracked(answer.block) or profiled(answer.block)]
    return lines


class Cairn(gdb.Command):
    """Questions about Cairn, the allocator."""

    def __init__(self):
        super().__init__("cairn", gdb.COMMAND_DATA, prefix=True)


class CairnWhat(gdb.Command):
    """cairn what EXPRESSION: the heap or pool that an address belongs to, its block, live or free, size and site."""

    def __init__(self):
        super().__init__("cairn what", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("cairn what: an expression is missing")
        address = int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long")))
        try:
            lines = what(address)
        except (gdb.error, AttributeError) as error:
            if gdb.lookup_global_symbol("pools_all") is None:
                raise gdb.GdbError("Cairn, or its debugging information, is not in this program") from error
            raise
        print("\n".join(lines))


Cairn()
CairnWhat()
