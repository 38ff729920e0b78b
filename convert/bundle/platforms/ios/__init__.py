"""iOS: a bundle that an app takes in as it is, with the sample app's project around the model that this app runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Packing, Platform
from convert.choices import choice

if TYPE_CHECKING:
    from convert.costs import Rates, Stage
    from convert.progress import Progress

_SOURCES = 4 << 20  # bytes of the sample's own files, generously


@dataclass(frozen=True)
class Choices:
    """Attributes:
    app: ``no`` leaves the sample's project out.
    """

    app: str = choice("yes", ("yes", "no"), "app/, the sample's project with this bundle in it")


def _stages(choices: Choices, model: int, rate: Rates) -> tuple[Stage, ...]:
    from convert.bundle.project import LARGEST_PACKED
    from convert.costs import BUILDER, Stage

    if choices.app == "no":
        return ()
    packed = model if model <= LARGEST_PACKED else 0
    return (Stage("app", 1.0 + packed / rate.hashed, BUILDER, 0, packed + _SOURCES),)


def _pack(folder: Path, tools: Any, choices: Choices, work: Path, progress: Progress) -> str | None:
    from convert.bundle.platforms.ios import sample

    return None if choices.app == "no" else sample.add(folder, progress)


PLATFORM = Platform("ios", "coreml", {"coreml": Packing(Choices, _stages, pack=_pack)})
