"""A comparison as plain tables, and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert import tables
from convert.pipeline import Measure
from tests.bench.peers.figures import FIGURES, Side, Spread, of, ratio, share
from tests.bench.peers.machine import Machine


@dataclass(frozen=True)
class Converted:
    """One conversion of ours: its file and what the engine keeps beside it from the first start on, in bytes."""

    context: int
    measure: Measure
    file: int
    cache: int


@dataclass(frozen=True)
class Setting:
    """All runtimes with one context and one prompt, in tokens; ours first. ``once``: the prompt was read once."""

    context: int
    prompt: int
    sides: tuple[Side, ...]
    once: bool = False


@dataclass(frozen=True)
class Report:
    """Everything that a run of ``peers`` found.

    Attributes:
        answer: tokens after each prompt.
        system: what llama.cpp says that it uses; empty when it did not run.
        said: what did not run, and why; how the exporter ended; a line each.
    """

    model: str
    answer: int
    threads: int
    rounds: int
    machine: Machine
    converted: tuple[Converted, ...]
    settings: tuple[Setting, ...]
    system: str
    said: tuple[str, ...]


def text(report: Report) -> str:
    """For people."""
    here = report.machine
    lines = [
        f"{report.model}, {here.cores} cores of {here.processor}, {report.threads} threads; one thread reads "
        f"{_rate(here.one)} from memory, two read {_rate(here.two)}",
        f"load before it began: {here.load:.1f}; the processor has of AVX-512, VNNI and AMX: "
        f"{', '.join(here.features) or 'none'}",
        *([f"llama.cpp uses: {report.system}"] if report.system else []),
        "llama.cpp's file has the same matrices as Q4_0, ours the checkpoint's bits: they read different bytes a token",
        *report.said,
    ]
    rows = [
        (f"context {one.context}", f"{one.measure.seconds:.1f} s", tables.size(one.measure.peak_bytes),
         tables.size(one.file), tables.size(one.cache))
        for one in report.converted
    ]  # fmt: skip
    heads = ("converting ours", "wall time ", "peak memory ", "file ", "engine's cache ")
    return "\n".join([*lines, "", tables.table("", heads, rows), *(_setting(report, one) for one in report.settings)])


def _setting(report: Report, setting: Setting) -> str:
    sides, (ours, *others) = setting.sides, setting.sides
    two = report.machine.two.median

    def row(name: str, figure: str, digits: int, unit: float = 1) -> tuple[str, ...]:
        cells = [_cell(of(side, figure), digits, unit) for side in sides]
        return (name, *cells, *(_cell(ratio(ours, theirs, figure), 2) for theirs in others))

    rows = [
        ("file", *(tables.size(side.files) for side in sides), *(f"{ours.files / one.files:.2f}" for one in others)),
        ("weights read a token", *(tables.size(side.read) for side in sides),
         *(f"{ours.read / one.read:.2f}" for one in others)),
        ("ready at the first start, s", *(f"{side.start.ready:.1f}" for side in sides), *("" for _ in others)),
        row("ready later, s", "ready", 1),
        row("prefill, tokens/s", "prefill", 1),
        row("first token, s", "first", 2),
        row("decode, tokens/s", "decode", 2),
        ("decode moves, of what two threads read", *(f"{100 * share(side, two):.0f} %" for side in sides),
         *("" for _ in others)),
        row("most resident, GB", "resident", 2, 1e9),
    ]  # fmt: skip
    heads = ("", *(f"{side.name} " for side in sides), *(f"ours / {theirs.name} " for theirs in others))
    each = "read once, then each round" if setting.once else "then"
    title = (
        f"context {setting.context}, prompt {setting.prompt}, {each} {report.answer} tokens: median of "
        f"{report.rounds} rounds (least - most)"
    )
    return tables.table(title, heads, rows)


def data(report: Report) -> dict[str, Any]:
    """For programs: medians, ranges and ratios, and every run behind them."""
    from dataclasses import asdict

    whole = asdict(report)
    for setting, plain in zip(report.settings, whole["settings"], strict=True):
        for side, one in zip(setting.sides, plain["sides"], strict=True):
            one["spread"] = {figure: asdict(of(side, figure)) for figure in FIGURES}
            one["share_of_two_threads"] = share(side, report.machine.two.median)
        plain["ratios"] = {
            theirs.name: {figure: asdict(ratio(setting.sides[0], theirs, figure)) for figure in FIGURES}
            for theirs in setting.sides[1:]
        }
    return whole


def _rate(found: Spread) -> str:
    return f"{found.median / 1e9:.1f} GB/s ({found.least / 1e9:.1f} - {found.most / 1e9:.1f})"


def _cell(found: Spread, digits: int, unit: float = 1) -> str:
    middle, least, most = (f"{value / unit:.{digits}f}" for value in (found.median, found.least, found.most))
    return f"{middle} ({least} - {most})"
