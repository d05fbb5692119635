"""From raw numbers to medians, ratios and tables."""

import math
from collections import Counter
from statistics import median

from allocators import OURS

MEASURES = {"time": "seconds", "memory": "peak_kb"}
KINDS = {"loop": "loops", "program": "programs"}
FAR = 1.3  # rows where Cairn is this far behind the best are named
BUSY = "The machine was busy with something else when this began: the times are noise in part."


class Table:
    """One measure: medians and ratios to the best of each row, for the rows that every allocator finished."""

    def __init__(self, results, measure):
        self.measure = measure
        self.names = [allocator["name"] for allocator in results["allocators"]]
        self.kinds = {row["name"]: row["kind"] for row in results["rows"]}
        failed = {(f["row"], f["allocator"]) for f in results["failures"]}
        samples = {}
        for sample in results["samples"]:
            key = sample["row"], sample["allocator"]
            if key not in failed:
                samples.setdefault(key, []).append(sample[MEASURES[measure]])
        self.medians = {key: median(values) for key, values in samples.items()}
        self.spreads = {key: (max(values) - min(values)) / median(values)
                        for key, values in samples.items() if len(values) > 1}

    def best(self, row):
        values = [self.medians[row, name] for name in self.names if (row, name) in self.medians]
        return min(values, default=None)

    def ratio(self, row, name):
        value = self.medians.get((row, name))
        return None if value is None else value / self.best(row)

    def spread(self, row):
        """(largest - smallest) / median over the rounds, of the allocator in the middle."""
        values = [self.spreads[row, name] for name in self.names if (row, name) in self.spreads]
        return median(values) if values else None

    def rows(self, kind=None):
        return [row for row, its_kind in self.kinds.items() if kind in (None, its_kind)]

    def complete_rows(self, kind=None):
        return [row for row in self.rows(kind) if all((row, name) in self.medians for name in self.names)]

    def mean(self, name, kind=None):
        """The geometric mean of the ratios over the rows that all finished, None if there are none."""
        rows = self.complete_rows(kind)
        if not rows:
            return None
        return math.exp(sum(math.log(self.ratio(row, name)) for row in rows) / len(rows))


def wrong_outputs(results):
    """Failures for allocators under which a row printed something else: than under glibc if that ran, else
    than under most of them."""
    failures = []
    for row in results["rows"]:
        mine = [s for s in results["samples"] if s["row"] == row["name"]]
        usual = Counter(s["output_sha256"] for s in mine if s["allocator"] == "glibc")
        usual = usual or Counter(s["output_sha256"] for s in mine)
        if not usual:
            continue
        right = usual.most_common(1)[0][0]
        for name in sorted({s["allocator"] for s in mine if s["output_sha256"] != right}):
            failures.append({"row": row["name"], "allocator": name, "reason": "its output differs"})
    return failures


def absolute(measure, value):
    if value is None:
        return "-"
    return f"{value:.2f} s" if measure == "time" else f"{value / 1024:.1f} MB"


def cells(label, values, *rest):
    numbers = "".join(f"{'FAILED' if value is None else format(value, '.2f'):>10}" for value in values)
    return f"{label:<22}{numbers}" + "".join(f"{text:>11}" for text in rest)


def table_lines(table):
    title = {"time": "Time", "memory": "Peak memory"}[table.measure]
    lines = [f"{title}: ratios to the best of each row (1.00)", ""]
    lines.append(f"{'':<22}" + "".join(f"{name:>10}" for name in table.names) + f"{'best':>11}{'spread':>11}")
    for kind in KINDS:
        for row in table.rows(kind):
            spread = table.spread(row)
            lines.append(cells(row, [table.ratio(row, name) for name in table.names],
                               absolute(table.measure, table.best(row)),
                               "-" if spread is None else f"{100 * spread:.0f} %"))
    for kind, plural in [*KINDS.items(), (None, "all rows")]:
        done, asked = len(table.complete_rows(kind)), len(table.rows(kind))
        if done > 0:
            lines.append(cells(f"mean, {plural}", [table.mean(name, kind) for name in table.names],
                               "" if done == asked else f"  ({done} of {asked} rows)"))
    return lines


def against_best_peer(table, kind):
    """Cairn's mean over that of the peer with the smallest, in words."""
    ours = table.mean(OURS, kind)
    peers = [(table.mean(name, kind), name) for name in table.names if name != OURS]
    if ours is None or not peers:
        return "-"
    value, name = min(peers)
    return f"{ours / value:.3f} (of {name})"


def verdict_lines(time, memory):
    lines = ["Cairn's geometric mean over that of the best peer (below 1: Cairn is better)"]
    for words, table, kind in (("loops, time", time, "loop"), ("programs, time", time, "program"),
                               ("loops, memory", memory, "loop"), ("programs, memory", memory, "program"),
                               ("all rows, memory", memory, None)):
        lines.append(f"    {words:<18}{against_best_peer(table, kind)}")
    for table in time, memory:
        far = [(table.ratio(row, OURS), row) for row in table.rows() if (row, OURS) in table.medians]
        far = sorted((pair for pair in far if pair[0] > FAR), reverse=True)
        named = [f"{row} {ratio:.2f}" for ratio, row in far]
        named += [f"{row} failed" for row in table.rows() if (row, OURS) not in table.medians]
        named = ", ".join(named) or "none"
        lines.append(f"Rows where Cairn is above {FAR} of the best, {table.measure}: {named}")
    return lines


def text(results):
    machine = results["machine"]
    time, memory = Table(results, "time"), Table(results, "memory")
    quick = ", quick: the work is too small to compare" if results["settings"]["quick"] else ""
    lines = [
        "",
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, Linux {machine['kernel']}",
        f"medians of {results['settings']['rounds']} rounds{quick}",
        *([BUSY] if machine["load_average_at_start"] > machine["cpus"] / 4 else []),
        "",
        *table_lines(time),
        "",
        *table_lines(memory),
    ]
    if OURS in time.names:
        lines += ["", *verdict_lines(time, memory)]
    if results["failures"]:
        lines += ["", "FAILED"]
        lines += [f"    {f['row']} under {f['allocator']}: {f['reason']}" for f in results["failures"]]
    return "\n".join(lines)
