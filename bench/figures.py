"""The figures that programs of bench/figures/ measure themselves: run, collect, print as a table."""

import subprocess
from pathlib import Path


def programs(build):
    return sorted(p for p in (build / "bench" / "figures").glob("*") if p.is_file())


def run(build, only, timeout):
    """(figures, failures): each figure a dict with name, value, asked, unit, what, program."""
    figures, failures = [], []
    for program in programs(build):
        if not only.search(f"figures/{program.name}"):
            continue
        try:
            done = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=timeout, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failures.append({"program": program.name, "reason": str(error)})
            continue
        for line in done.stdout.splitlines():
            name, value, asked, unit, what = line.split("\t")
            figures.append({"program": program.name, "name": name, "value": float(value), "asked": asked,
                            "unit": unit, "what": what})
    return figures, failures


def holds(figure):
    """Whether the figure keeps its bound; None where there is none."""
    asked = figure["asked"]
    if asked == "-":
        return None
    bound = float(asked[2:])
    return figure["value"] <= bound if asked.startswith("<=") else figure["value"] >= bound


def table(figures):
    lines = ["| figure | value | asked | | what is compared |", "|---|---:|---:|---|---|"]
    for figure in figures:
        mark = {True: "yes", False: "**no**", None: ""}[holds(figure)]
        lines.append(f"| {figure['name']} | {figure['value']:.3g} {figure['unit']} | {figure['asked']} | {mark} "
                     f"| {figure['what']} |")
    return "\n".join(lines)
