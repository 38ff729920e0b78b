"""The judgement on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_tests.report.departure import line
from runtime_tests.report.parity import AccuracyReport, CheckReport, Parity, SystemReport

_STYLE = {"pass": "green", "fail": "bold red", "not run": "yellow"}
_SENSE = {"at least": "≥", "at most": "≤", "equal": "=", "stated": ""}


def show(parity: Parity, console: Console) -> None:
    """Prints the rungs with their figures, the floor and the verdict."""
    width = 140  # a report in a log is read without a terminal's width
    console = console if console.is_terminal else Console(width=width)
    table = Table(title=f"{parity.artifact.name}  {parity.artifact.sha256[:16]}", title_justify="left")
    for heading in ("rung", "check", "found", "bar", "verdict", "note"):
        table.add_column(heading, justify="right" if heading in ("found", "bar") else "left", overflow="fold")
    for item in parity.rungs:
        table.add_section()
        table.add_row(
            item.name, Text(item.question, "italic"), "", "", Text(item.status, _STYLE[item.status]), item.why
        )
        for check in item.checks:
            table.add_row("", check.name, f"{check.found:g} {check.unit}", _bar(check), _mark(check), Text(check.note))
    console.print(table)
    if parity.accuracy:
        console.print(accuracy(parity.accuracy))
    if parity.floor:
        floor = parity.floor
        console.print(
            f"noise floor: {floor.snr_db:g} dB, mean KL {floor.mean_kl_nats:g} nats, top-1 {floor.top1:.1%}",
            highlight=False,
        )
    if parity.localization:
        console.print(Text(line(parity.localization)))
    console.print(Text(f"verdict: {parity.verdict}", _STYLE[parity.verdict]))


def accuracy(found: AccuracyReport) -> Table:
    """Rung 4's table: one row a system, one column a family."""
    families = [family.name for family in found.systems[0].families] if found.systems else []
    table = Table(title=f"accuracy on {found.questions}  {found.questions_sha256[:16]}", title_justify="left")
    table.add_column("system", overflow="fold")
    for heading in ("correct", "%", "95 %", "points", "lost", "gained", "McNemar p", *families):
        table.add_column(heading, justify="right")
    table.add_column("source")
    for item in found.systems:
        beside = ("", "", "", "") if item.p is None else (f"{item.points:+.1f}", *_pair(item), f"{item.p:.2g}")
        table.add_row(
            item.name,
            f"{item.correct} of {item.total}",
            f"{100 * item.correct / item.total:.1f}",
            f"{100 * item.low:.1f} to {100 * item.high:.1f}",
            *beside,
            *(f"{100 * family.correct / family.total:.0f}" for family in item.families),
            item.source,
        )
    return table


def _pair(item: SystemReport) -> tuple[str, str]:
    return str(item.lost), str(item.gained)


def _bar(check: CheckReport) -> str:
    return "" if check.limit is None else f"{_SENSE[check.sense]} {check.limit:g}"


def _mark(check: CheckReport) -> Text:
    if check.sense == "stated":
        return Text("stated", "dim")
    return Text("pass", "green") if check.passed else Text("fail", "bold red")
