"""iOS: a bundle that an app takes in as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Platform

if TYPE_CHECKING:
    from convert.costs import Rates, Stage
    from convert.progress import Progress


@dataclass(frozen=True)
class Choices:
    """It has no flags of its own."""


def _stages(choices: Choices, model: int, rate: Rates) -> tuple[Stage, ...]:
    return ()


def _tools(choices: Choices, progress: Progress) -> Any:
    return None


def _pack(folder: Path, tools: Any, choices: Choices, work: Path, progress: Progress) -> str | None:
    return None


PLATFORM = Platform("ios", "coreml", Choices, _stages, _tools, _pack)
