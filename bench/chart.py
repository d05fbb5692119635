"""The chart: bars of time and peak memory per row, drawn by gnuplot."""

import subprocess

from report import KINDS, Table

TOP = 3.0  # bars above it are cut off and say their value
COLOURS = {"cairn": "#d1495b", "glibc": "#9a9a9a", "jemalloc": "#edae49", "tcmalloc": "#66a182",
           "mimalloc": "#2e4057"}
TITLES = {"time": "Time, ratio to the best of each row (lower is better)",
          "memory": "Peak memory, ratio to the best of each row (lower is better)"}
TERMINALS = {"svg": "svg size 1800,1100 noenhanced font 'DejaVu Sans,14' background '#ffffff'",
             "png": "pngcairo size 1800,1100 noenhanced font 'DejaVu Sans,11' background '#ffffff'"}


class GnuplotFailed(Exception):
    pass


def groups(table):
    """The groups of bars from left to right: (label, a ratio for each allocator), None for a gap."""
    for kind in KINDS:
        for row in table.rows(kind):
            yield row, [table.ratio(row, name) for name in table.names]
        yield None
    for kind, plural in KINDS.items():
        if table.complete_rows(kind):
            yield f"mean, {plural}", [table.mean(name, kind) for name in table.names]


def panel(table, number):
    """The gnuplot commands of one panel; its data goes into the block $data<number>."""
    width = 1 / (len(table.names) + 1.5)
    data, labels, tics = [], [], []
    for x, group in enumerate(groups(table)):
        if group is None:
            continue
        tics.append(f'"{group[0]}" {x}')
        for k, ratio in enumerate(group[1]):
            at = x + (k - (len(table.names) - 1) / 2) * width
            if ratio is None:
                labels.append(f"set label 'failed' at {at:.3f},0.06 rotate by 90 left font ',8'")
                continue
            data.append(f"{at:.4f} {min(ratio, TOP):.4f} {width:.4f} {k}")
            if ratio > TOP:
                labels.append(f"set label '{ratio:.1f}' at {at:.3f},{TOP + 0.05} rotate by 90 left font ',8'")
    bars = f"$data{number} using 1:($4=={{}} ? $2 : 1/0):3 with boxes lc rgb '{{}}' title '{{}}'"
    plots = [bars.format(k, COLOURS[name], name) for k, name in enumerate(table.names)]
    return [f"$data{number} << END", *data, "END", "unset label", *labels,
            f"set title \"{TITLES[table.measure]}\"", f"set xtics ({', '.join(tics)})",
            f"set xrange [-0.7:{x + 0.7}]",
            "plot " + ", ".join(plots + ["1 with lines lc rgb '#000000' lw 0.8 notitle"])]


def script(results, terminal, path):
    return "\n".join([
        f"set terminal {terminal}", f"set output '{path}'",
        "set multiplot layout 2,1 margins 0.035,0.995,0.11,0.94 spacing 0,0.2",
        "set style fill solid 1.0 noborder", f"set yrange [0:{TOP}]", "set ytics 0.5",
        "set tics nomirror out",
        "set xtics rotate by 40 right", "set grid ytics lc rgb '#dddddd'", "set border 3",
        "set key outside top right horizontal samplen 1.5", "set title offset 0,character 0.8",
        *panel(Table(results, "time"), 1), *panel(Table(results, "memory"), 2), "unset multiplot", ""])


def draw(results, folder):
    """Writes bench.svg and bench.png and gives their paths."""
    paths = []
    for suffix, terminal in TERMINALS.items():
        path = folder / f"bench.{suffix}"
        try:
            subprocess.run(["gnuplot"], input=script(results, terminal, path), text=True, check=True,
                           capture_output=True)
        except FileNotFoundError:
            raise GnuplotFailed("gnuplot is missing: install the Debian package gnuplot-nox") from None
        except subprocess.CalledProcessError as error:
            raise GnuplotFailed(f"gnuplot cannot draw {path}: {error.stderr.strip()}") from None
        paths.append(path)
    return paths
