"""How stages tell that they are alive: bytes done, of bytes in all. On stderr: stdout is for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol


class Stage(Protocol):
    """One running stage."""

    def advance(self, n: int) -> None:
        """``n`` more bytes (or what else the stage counts) are done."""
        ...


class Progress(Protocol):
    """Where stages report to."""

    def stage(self, name: str, total: int | None = None, unit: str = "bytes") -> AbstractContextManager[Stage]:
        """A stage of ``total`` bytes or other units (None when nobody knows) that ends with the context."""
        ...

    def elsewhere(self, name: str) -> AbstractContextManager[None]:
        """A stage in another process, which shows on the same stderr how far it is: nothing is drawn meanwhile."""
        ...


class _NoStage:
    def advance(self, n: int) -> None:
        pass


class Silent:
    """Reports nothing; for tests and for ``--json``."""

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "bytes") -> Iterator[Stage]:
        yield _NoStage()

    @contextmanager
    def elsewhere(self, name: str) -> Iterator[None]:
        yield


class Lines:
    """One line a stage when it is done; for logs."""

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "bytes") -> Iterator[Stage]:
        with _timed(name):
            yield _NoStage()

    def elsewhere(self, name: str) -> AbstractContextManager[None]:
        return _timed(name)


class Bars:
    """A bar a stage; for terminals."""

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "bytes") -> Iterator[Stage]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Rich

        columns = [SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn()]
        if total is not None:
            columns += [DownloadColumn()] if unit == "bytes" else [MofNCompleteColumn(), TimeRemainingColumn()]
        with Rich(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(name, total=total)

            class _Bar:
                def advance(self, n: int) -> None:
                    bars.advance(task, n)

            yield _Bar()
            bars.update(task, total=total or 1, completed=total or 1)

    @contextmanager
    def elsewhere(self, name: str) -> Iterator[None]:
        try:
            with _timed(name):
                yield
        finally:
            with suppress(OSError):  # a process that was killed while it drew has left the cursor hidden
                sys.stderr.write("\x1b[?25h")


@contextmanager
def _timed(name: str) -> Iterator[None]:
    """Says when it is done how long it took."""
    start = time.perf_counter()
    yield
    with suppress(OSError):  # a log that takes no more lines is no reason to end the work
        sys.stderr.write(f"{name:<28} {time.perf_counter() - start:6.1f} s\n")


def for_terminal() -> Progress:
    """Bars where somebody watches, lines where a log is written."""
    return Bars() if sys.stderr.isatty() else Lines()
