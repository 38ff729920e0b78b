"""How much memory a process may still take here: the machine's, or what a container's limit leaves of it; giving back.

Read of ``/proc/meminfo`` (proc(5): MemAvailable, which counts what the kernel can give back) and of the memory cgroups
that this process is in, of version 2 (``memory.max``) or 1 (``memory.limit_in_bytes``). File pages of a cgroup are
given back before anything is killed, so they count as free. Where none of these files is there, on macOS for instance,
it is all the memory that the machine has.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Bytes.

    Attributes:
        free: what can be had without swapping.
        swap: what can be had beside it from swap space.
        limit: a container's limit, when that is what bounds ``free``; else None.
    """

    free: int
    swap: int = 0
    limit: int | None = None


def available(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Memory:
    """What this process may still take.

    Args:
        proc, cgroups: where the two file systems are mounted.
    """
    told = _numbers(proc / "meminfo", 1024)
    if "MemAvailable:" not in told:
        return Memory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    found = Memory(told["MemAvailable:"], told.get("SwapFree:", 0))
    for folder in _folders(proc, cgroups):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit is None or used is None:
            continue
        files = _numbers(folder / "memory.stat")
        pages = sum(
            files.get(f"{prefix}{name}_file", 0) for name in ("active", "inactive") for prefix in _prefix(files)
        )
        left = max(0, limit - max(0, used - pages))
        if left < found.free:
            swap = _number(folder / "memory.swap.max")
            found = Memory(left, found.swap if swap is None else min(swap, found.swap), limit)
    return found


def give_back() -> None:
    """Hands freed pages back to the system, where the C library can (glibc): it keeps them for the next request.

    Who waits for another process for long holds of a plan 0.3 GB otherwise: a tokenizer of real size was read for it.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _prefix(files: dict[str, int]) -> tuple[str]:
    """Version 1 tells a group's own pages and, as ``total_``, those of the groups in it too."""
    return ("total_",) if "total_inactive_file" in files else ("",)


def _folders(proc: Path, cgroups: Path) -> Iterator[Path]:
    """The memory cgroups of this process, innermost first. In a container the mount may begin at its own group."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        inner = root / path.strip("/")
        for folder in (inner, *inner.parents):
            if folder.is_dir():
                yield folder
            if folder == root:
                break


def _number(*paths: Path) -> int | None:
    """The number in the first of the files that is there; None for none, and for ``max``."""
    for path in paths:
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            continue
    return None


def _numbers(path: Path, unit: int = 1) -> dict[str, int]:
    """``name number`` lines of a file; empty when it cannot be read."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) * unit for pair in words if len(pair) > 1 and pair[1].isdigit()}
