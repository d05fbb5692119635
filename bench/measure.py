"""The rows of the suite, and one run of one of them."""

import hashlib
import os
import platform
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from allocators import Unusable

# Settings of allocators that a user may have in the environment; a run starts without them.
SETTINGS = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "JE_MALLOC_", "CAIRN_")


@dataclass(frozen=True)
class Row:
    name: str
    kind: str  # "loop" or "program"
    command: tuple  # what is run
    shown: str  # the same for people, without folders
    variable: str  # the environment variable that takes the library


def loop_rows(table, build, divisor):
    """The rows of rows.txt: name, program, arguments, where @ marks an amount of work."""
    for line in table.read_text().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        name, program, *arguments = words
        arguments = [str(max(1, int(a[1:]) // divisor)) if a.startswith("@") else a for a in arguments]
        binary = build / "bench" / program
        if not os.access(binary, os.X_OK):
            raise Unusable(f"{binary} is missing: build the target `benches`")
        shown = " ".join([program, *arguments])
        yield Row(name, "loop", (str(binary.resolve()), *arguments), shown, "LD_PRELOAD")


def program_rows(folder, divisor):
    for script in sorted(folder.glob("*.sh")):
        if os.access(script, os.X_OK):
            scale = str(1 / divisor) if divisor > 1 else "1"
            shown = f"{script.name} {scale}"
            yield Row(script.stem, "program", (str(script), scale), shown, "CAIRN_BENCH_PRELOAD")


def find_rows(bench, build, divisor):
    return [*loop_rows(bench / "rows.txt", build, divisor), *program_rows(bench / "programs", divisor)]


def clean_environment():
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
    return {**kept, "LC_ALL": "C"}


def execute(command, report_fd, timeout):
    """Runs the command in a session of its own and gives (standard output, standard error), or None for both
    when it took too long; then all of the session is killed."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=clean_environment(), pass_fds=[report_fd],
                               start_new_session=True)
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, None
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def run(row, library, build, timeout):
    """One run: (sample, None), or (None, why it failed)."""
    launch = build / "bench" / "launch"
    if not os.access(launch, os.X_OK):
        raise Unusable(f"{launch} is missing: build the target `benches`")
    reader, writer = os.pipe()
    try:
        assignment = f"{row.variable}={library or ''}"
        command = [str(launch.resolve()), str(writer), assignment, *row.command]
        output, errors = execute(command, writer, timeout)
    finally:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            words = pipe.read().split()
    if output is None:
        return None, f"not done after {timeout:g} seconds"
    last_words = errors.decode(errors="replace").strip().splitlines()[-1:]
    if len(words) != 5:
        return None, "no measurement: " + " ".join(last_words)
    status, nanoseconds, peak_kb, user, system = map(int, words)
    if status != 0:
        how = f"signal {status - 128}" if status > 128 else f"status {status}"
        return None, " ".join([how, *last_words])
    if b"cannot be preloaded" in errors:
        return None, " ".join(last_words)
    if not output.strip():
        return None, "no output"
    return {
        "seconds": nanoseconds / 1e9,
        "peak_kb": peak_kb,
        "user_seconds": user / 1e6,
        "system_seconds": system / 1e6,
        "output_sha256": hashlib.sha256(output).hexdigest(),
    }, None


def first_match(path, key):
    """The value of the first `key: value` line of a file of /proc or /etc."""
    try:
        for line in Path(path).read_text().splitlines():
            name, _, value = line.replace("=", ":", 1).partition(":")
            if name.strip() == key:
                return value.strip().strip('"')
    except OSError:
        pass
    return "unknown"


def machine():
    """What the raw numbers say about the machine."""
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "cpu": first_match("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "memory": first_match("/proc/meminfo", "MemTotal"),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "system": first_match("/etc/os-release", "PRETTY_NAME"),
        "transparent_huge_pages": huge_pages.read_text().strip() if huge_pages.exists() else "none",
        "load_average_at_start": os.getloadavg()[0],
    }
