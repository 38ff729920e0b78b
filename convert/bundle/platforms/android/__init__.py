"""Android: a bundle with the sample app, as a project and as an APK, around the model that this app runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.bundle.platform import Packing, Platform
from convert.choices import choice

if TYPE_CHECKING:
    from convert.costs import Rates, Stage
    from convert.progress import Progress

_STARTING = 10.0  # seconds of the Android tools, on an app that is all but empty
_PARTS = 96 << 20  # bytes of what is linked and packed, the model apart


@dataclass(frozen=True)
class Choices:
    """Attributes:
    apk: ``auto`` builds ``app.apk`` where that can be done, ``require`` fails elsewhere.
    """

    apk: str = choice("auto", ("auto", "require", "skip"), "app.apk; auto: where possible", "GEMMA_BRIDGE_APK")


def _stages(choices: Choices, model: int, rate: Rates) -> tuple[Stage, ...]:
    from convert.bundle.project import LARGEST_PACKED
    from convert.costs import BUILDER, Stage

    if choices.apk == "skip":
        return ()
    packed = 3 * model if model <= LARGEST_PACKED else 0
    disk = model + packed + _PARTS
    return (Stage("app.apk", _STARTING + packed / rate.hashed, BUILDER + 3 * packed, 0, disk),)


def _tools(choices: Choices, progress: Progress) -> Any:
    from convert.bundle.platforms.android import sample

    return sample.tools(choices.apk, progress)


def _pack(folder: Path, tools: Any, choices: Choices, work: Path, progress: Progress) -> str | None:
    from convert.bundle.platforms.android import sample

    return f"apk: {sample.add(folder, tools, choices.apk, work, progress).status}"


PLATFORM = Platform("android", "litert", {"litert": Packing(Choices, _stages, _tools, _pack)})
