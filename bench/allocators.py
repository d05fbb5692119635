"""The allocators that are compared: where their libraries are, and which versions."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path

OURS = "cairn"

# Name, Debian package, library to preload (none: what programs use anyway).
PEERS = {
    "glibc": ("libc6", None),
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "tcmalloc": ("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2"),
}
NAMES = [OURS, *PEERS]


class Unusable(Exception):
    """The suite cannot run as asked; the text says why and what would help."""


def find_peer(name):
    package, library = PEERS[name]
    if library is None:
        return None
    found = sorted(Path("/usr/lib").glob(f"*/{library}")) + sorted(Path("/usr/lib").glob(library))
    # Of several architectures, that of this machine first.
    found.sort(key=lambda path: not path.parent.name.startswith(platform.machine()))
    if not found:
        raise Unusable(f"{name} is missing: install the Debian package {package}, "
                       "or leave it out with --allocators")
    return found[0]


def locate(names, ours):
    """The library to preload for each name, None for none."""
    paths = {}
    for name in names:
        if name == OURS:
            if not ours.is_file():
                raise Unusable(f"{ours} is missing: build it, or name it with --lib")
            paths[name] = ours.resolve()
        elif name in PEERS:
            paths[name] = find_peer(name)
        else:
            raise Unusable(f"no allocator is called {name!r}: there are {', '.join(NAMES)}")
    return paths


def package_version(package):
    query = ["dpkg-query", "-W", "-f", "${Version}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe(name, path):
    """What the raw numbers say about an allocator."""
    if path is None:
        version = package_version(PEERS[name][0])
        return {"name": name, "version": version, "libc": os.confstr("CS_GNU_LIBC_VERSION")}
    real = path.resolve()
    about = {"name": name, "file": real.name, "sha256": hashlib.sha256(real.read_bytes()).hexdigest()}
    if name in PEERS:
        about["version"] = package_version(PEERS[name][0])
    return about
