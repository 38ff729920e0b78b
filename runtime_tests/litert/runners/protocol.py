"""What a runtime has to offer the judge. A new one is a new file here: a ``Runner``, a ``Player``, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Runner(Protocol):
    """A loaded model, in this process."""

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """One invocation; arrays by name in and out.

        Raises:
            CannotRunError: the runtime fails; its message is passed on.
        """
        ...


@dataclass(frozen=True)
class Call:
    """A recorded invocation.

    Attributes:
        signature: its name.
        inputs: arrays by name.
        carry: names that are fed from what the call before gave under the same names: caches.
        keep: names of the outputs that are wanted.
    """

    signature: str
    inputs: Arrays
    carry: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(frozen=True)
class Tape:
    """Recorded invocations of one model.

    Attributes:
        model: the model's bytes, or a file.
        calls: in order.
        state: shape and dtype of the zeros that the first call is fed under each carried name.
    """

    model: bytes | Path
    calls: tuple[Call, ...]
    state: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)


class Player(Protocol):
    """Another runtime, in a process of its own, for a second opinion on the same bytes."""

    @property
    def name(self) -> str:
        """For the report."""
        ...

    @property
    def runtime(self) -> str:
        """What kind of kernels it has, for the limits in budgets.py."""
        ...

    def play(self, tapes: Sequence[Tape], threads: int) -> list[list[Arrays]]:
        """What every call of every tape gave, the kept outputs alone.

        Raises:
            CannotRunError: the runtime is not there, or fails; the reason is passed on.
        """
        ...
