"""Where a comparison runs: the processor, what it has for products of small integers, and how fast it reads memory."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

from convert.child import run
from tests.bench.peers.figures import Spread, spread

# A process of its own: what a parent holds when it starts a child counts as the child's peak.
_PROBE = "import json; from tests.bench.rates import read_rate; print(json.dumps([read_rate(1), read_rate(2)]))"


@dataclass(frozen=True)
class Machine:
    """Where it ran.

    Attributes:
        load: of the last minute before it began, in processes that want a core (getloadavg(3)); others' work slows the
            two unequally, for llama.cpp's threads spin while they wait.
        features: those of AVX-512, VNNI and AMX that the processor has, as Linux calls them.
        one, two: bytes per second that one and that two threads read from memory, over the rounds.
    """

    processor: str
    cores: int
    load: float
    features: tuple[str, ...]
    one: Spread
    two: Spread


@dataclass
class Bandwidth:
    """Bytes per second that one and that two threads read, one figure for each time that ``probe`` was called; and the
    load at the beginning.
    """

    load: float = field(default_factory=lambda: os.getloadavg()[0])
    one: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)

    def probe(self, env: dict[str, str]) -> None:
        ran = run([sys.executable, "-c", _PROBE], env)
        ran.check("memory bandwidth")
        one, two = json.loads(ran.output)
        self.one.append(one)
        self.two.append(two)


def machine(bandwidth: Bandwidth) -> Machine:
    """This one."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    flags = _cpuinfo("flags").split()
    features = tuple(flag for flag in flags if flag == "avx512f" or "vnni" in flag or flag.startswith("amx"))
    return Machine(name, os.cpu_count() or 1, bandwidth.load, features, spread(bandwidth.one), spread(bandwidth.two))


def _cpuinfo(key: str) -> str:
    """A line of proc(5)'s cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in fields if name.strip() == key), "")
