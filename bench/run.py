#!/usr/bin/env python3
"""Compares Cairn with other allocators: every row under every allocator in turn, several rounds.

A row is a load of bench/loops (listed in rows.txt) or a real program (each bench/programs/*.sh).  Within a
round each row runs once under every allocator, in an order that changes from round to round, so that slow
phases of the machine hit all of them.  What counts is the median over the rounds of wall time and of peak
memory, as a ratio to the best allocator of the row.

What programs of bench/figures measure themselves (pools, pool files, hooks) follows as a table of figures.

  allocators.py   which libraries, where they are, what versions
  measure.py      rows, and one run of one of them
  report.py       medians, ratios, tables
  chart.py        bench.svg and bench.png
  figures.py      the programs of bench/figures/

Exit status: 0; 1 if a row failed under any allocator; 2 if the suite cannot run.
"""

import argparse
import json
import random
import re
import sys
from pathlib import Path

import allocators
import chart
import figures
import measure
import report

BENCH = Path(__file__).resolve().parent
SEED = 1
QUICK_DIVISOR = 8


def parse_arguments():
    parser = argparse.ArgumentParser(description="Compares Cairn with other allocators.")
    parser.add_argument("build", nargs="?", type=Path, default=BENCH.parent / "build",
                        help="the build folder, with bench/ made by the target `benches` (build)")
    parser.add_argument("--lib", type=Path, help="Cairn's library (BUILD/libcairn.so)")
    parser.add_argument("--rounds", type=int, help="rounds (5; 1 with --quick)")
    parser.add_argument("--only", metavar="REGEX", default="", help="rows whose name it matches, anywhere")
    parser.add_argument("--allocators", metavar="NAMES", default=",".join(allocators.NAMES),
                        help="separated by commas, of " + ", ".join(allocators.NAMES) + " (all)")
    parser.add_argument("--quick", action="store_true",
                        help=f"one round, 1/{QUICK_DIVISOR} of the work: does all of it work?")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that one run may take (300)")
    parser.add_argument("--json", type=Path, help="where the raw numbers go (BUILD/bench/results.json)")
    parser.add_argument("--report", type=Path, metavar="JSON",
                        help="measures nothing: tables and charts from the raw numbers of an earlier run")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.lib = options.lib or options.build / "libcairn.so"
    options.json = options.json or options.report or options.build / "bench" / "results.json"
    return options


def save(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(results, indent=1) + "\n")
    fresh.replace(path)


def measure_row(row, names, paths, round_number, options, results):
    """One round of one row: a run under every allocator that has not failed at it before."""
    order = names[:]
    random.Random(f"{SEED}/{row.name}/{round_number}").shuffle(order)
    for name in order:
        if any(f["row"] == row.name and f["allocator"] == name for f in results["failures"]):
            continue
        sample, reason = measure.run(row, paths[name], options.build, options.timeout)
        if reason:
            results["failures"].append({"row": row.name, "allocator": name, "reason": reason})
            print(f"FAILED: {row.name} under {name}: {reason}", file=sys.stderr, flush=True)
        else:
            results["samples"].append({"row": row.name, "allocator": name, "round": round_number, **sample})


def measure_all(options):
    names = options.allocators.split(",")
    paths = allocators.locate(names, options.lib)
    divisor = QUICK_DIVISOR if options.quick else 1
    pattern = re.compile(options.only)
    rows = [row for row in measure.find_rows(BENCH, options.build, divisor) if pattern.search(row.name)]
    if not rows and not any(pattern.search(f"figures/{p.name}") for p in figures.programs(options.build)):
        raise allocators.Unusable(f"no row matches {options.only!r}")
    results = {
        "format": 1,
        "machine": measure.machine(),
        "settings": {"rounds": options.rounds, "quick": options.quick, "seed": SEED},
        "allocators": [allocators.describe(name, paths[name]) for name in names],
        "rows": [{"name": row.name, "kind": row.kind, "command": row.shown} for row in rows],
        "failures": [],
        "samples": [],
    }
    for round_number in range(1, options.rounds + 1):
        for row in rows:
            print(f"round {round_number}/{options.rounds}  {row.name}", file=sys.stderr, flush=True)
            measure_row(row, names, paths, round_number, options, results)
        save(results, options.json)
    results["failures"] += report.wrong_outputs(results)
    results["figures"], results["figure_failures"] = figures.run(options.build, pattern, options.timeout)
    save(results, options.json)
    return results


def main():
    options = parse_arguments()
    try:
        results = json.loads(options.report.read_text()) if options.report else measure_all(options)
        charts = []
        if results["rows"]:
            print(report.text(results))
            charts = chart.draw(results, options.json.parent)
        if results.get("figures"):
            print("\n## Figures\n\n" + figures.table(results["figures"]))
        for failure in results.get("figure_failures", []):
            print(f"FAILED: figures/{failure['program']}: {failure['reason']}", file=sys.stderr)
    except (allocators.Unusable, chart.GnuplotFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"\nraw numbers: {options.json}\nchart: " + ", ".join(str(path) for path in charts))
    return 1 if results["failures"] or results.get("figure_failures") else 0


if __name__ == "__main__":
    sys.exit(main())
