"""How a rung tells how far it is: ``3 of 35 layers, about 2 min left``. On stderr; stdout is for results.

In a rung, around a loop that may take seconds at full size::

    from runtime_tests.progress import steps, walk

    with steps("layers", len(layers)) as advance:  # the noun in plural, and how many there are
        for layer in layers:
            ...
            advance(1)

    for name in walk("prefill lengths", names):  # the same for a plain loop
        ...

It works anywhere below ``climb`` and costs nothing where nobody listens, in tests for instance. Steps may hold steps:
an outer one of 4 prefill lengths, an inner one of 35 layers. The time left is then the whole's: the inner steps are
parts of the outer one's current step. Steps should be about equally long, for the time left comes from their number.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Advance = Callable[[int], None]
EVERY_S = 30.0  # between two lines of a log


@dataclass
class Level:
    """Steps that are being taken: what they are, how many there are and how many are done."""

    name: str
    total: int
    done: int = 0


class Track:
    """The steps that are being taken, outermost first, and the moment they began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.levels: list[Level] = []
        self.began = clock()

    def fraction(self) -> float:
        """How much of the outermost steps is done, in [0, 1]."""
        part = 0.0
        for level in reversed(self.levels):
            part = min(1.0, (level.done + part) / level.total) if level.total > 0 else 0.0
        return part

    def left(self) -> float | None:
        """Seconds left of the outermost steps if they go on as they did; None while nothing is done."""
        part = self.fraction()
        return (self.clock() - self.began) * (1 - part) / part if part else None

    def words(self) -> str:
        """For people: ``1 of 4 prefill lengths, 3 of 35 layers, about 2 min left``."""
        told = [f"{min(level.done, level.total)} of {level.total} {level.name}" for level in self.levels]
        left = self.left()
        return ", ".join(told if left is None else [*told, f"about {duration(left)} left"])


class Display(Protocol):
    """Whoever shows the steps; ``changed`` is called at each of them."""

    track: Track

    def rung(self, name: str, line: str) -> None:
        """A rung begins: its name, and the line to say."""
        ...

    def changed(self) -> None: ...


_SHOWN: ContextVar[Display | None] = ContextVar("shown", default=None)


@contextlib.contextmanager
def steps(name: str, total: int) -> Iterator[Advance]:
    """``total`` steps begin; what is given is called with the number of those just done."""
    shown = _SHOWN.get()
    if shown is None:
        yield lambda n: None
        return
    track, level = shown.track, Level(name, total)
    if not track.levels:
        track.began = track.clock()
    track.levels.append(level)

    def advance(n: int) -> None:
        level.done += n
        shown.changed()

    try:
        yield advance
    finally:
        del track.levels[track.levels.index(level) :]


def walk(name: str, items: Collection[Item]) -> Iterator[Item]:
    """The items one after the other, each of them a step."""
    with steps(name, len(items)) as advance:
        for item in items:
            yield item
            advance(1)


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Lines:
    """For logs: a line when a rung begins, and one every half minute while it takes steps."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.track, self._write = Track(clock), write
        self._name, self._said = "", clock()

    def rung(self, name: str, line: str) -> None:
        self._name, self._said = name, self.track.clock()
        self._write(line)

    def changed(self) -> None:
        now = self.track.clock()
        if now - self._said >= EVERY_S:
            self._said = now
            self._write(f"{self._name}, {self.track.words()}")


class Bar:
    """For terminals: below the lines of the rungs a live one with a bar, which is gone in the end."""

    def __init__(self, console: Any) -> None:
        from rich.spinner import Spinner

        self.track, self._console, self._spinner = Track(), console, Spinner("dots")
        self._name, self._began = "", time.monotonic()

    def rung(self, name: str, line: str) -> None:
        self._name, self._began = name, time.monotonic()
        with contextlib.suppress(OSError):
            self._console.print(line, style="dim", highlight=False)

    def changed(self) -> None:
        pass  # it is drawn anew a few times a second

    def __rich__(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        grid = Table.grid(padding=(0, 1))
        cells: list[Any] = [self._spinner, self._name]
        if self.track.levels:
            cells += [ProgressBar(1.0, self.track.fraction(), width=24), self.track.words()]
        elapsed = int(time.monotonic() - self._began)
        grid.add_row(*cells, f"{elapsed // 60}:{elapsed % 60:02}")
        return grid


@contextlib.contextmanager
def shown() -> Iterator[Callable[[str, str], None]]:
    """Within this, steps are shown on stderr: as a bar where somebody watches, as lines where a log is written.

    Gives what is to be called when a rung begins, with its name, ``rung 2a``, and the line to say.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if sys.stderr is None or not sys.stderr.isatty():

        def write(line: str) -> None:
            with contextlib.suppress(OSError):  # a log that takes no more lines is no reason to end the work
                console.print(line, style="dim", highlight=False, soft_wrap=True)

        with _listening(Lines(write)) as lines:
            yield lines.rung
        return
    from rich.live import Live

    bar = Bar(console)
    live = Live(bar, console=console, refresh_per_second=5, transient=True, redirect_stdout=False)
    live.start()
    try:
        with _listening(bar):
            yield bar.rung
    finally:
        with contextlib.suppress(OSError):
            live.stop()


D = TypeVar("D", bound=Display)


@contextlib.contextmanager
def _listening(display: D) -> Iterator[D]:
    token = _SHOWN.set(display)
    try:
        yield display
    finally:
        _SHOWN.reset(token)
