"""Android: a bundle with the sample app around the model, as a project, and as an APK where its engine can be had."""

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
_SOURCES = 4 << 20  # bytes of the sample's own files, generously


@dataclass(frozen=True)
class Choices:
    """Attributes:
    apk: ``auto`` builds ``app.apk`` where that can be done, ``require`` fails elsewhere.
    """

    apk: str = choice("auto", ("auto", "require", "skip"), "app.apk; auto: where possible", "GEMMA_BRIDGE_APK")


@dataclass(frozen=True)
class ProjectChoices:
    """Attributes:
    app: ``no`` leaves the sample's project out.
    """

    app: str = choice("yes", ("yes", "no"), "app/, the sample's project with this bundle in it")


def _stages(choices: Choices, model: int, rate: Rates) -> tuple[Stage, ...]:
    from convert.bundle.project import LARGEST_PACKED
    from convert.costs import BUILDER, Stage

    if choices.apk == "skip":
        return ()
    packed = 3 * model if model <= LARGEST_PACKED else 0
    disk = model + packed + _PARTS
    return (Stage("app.apk", _STARTING + packed / rate.hashed, BUILDER + 3 * packed, 0, disk),)


def _project_stages(choices: ProjectChoices, model: int, rate: Rates) -> tuple[Stage, ...]:
    from convert.bundle.project import LARGEST_PACKED
    from convert.costs import BUILDER, Stage

    if choices.app == "no":
        return ()
    packed = model if model <= LARGEST_PACKED else 0
    return (Stage("app", 1.0 + packed / rate.hashed, BUILDER, 0, packed + _SOURCES),)


def _tools(choices: Choices, progress: Progress) -> Any:
    from convert.bundle.platforms.android import sample

    return sample.tools(choices.apk, progress)


def _pack(folder: Path, tools: Any, choices: Choices, work: Path, progress: Progress) -> str | None:
    from convert.bundle.platforms.android import sample

    return f"apk: {sample.add(folder, tools, choices.apk, work, progress).status}"


def _pack_project(folder: Path, tools: Any, choices: ProjectChoices, work: Path, progress: Progress) -> str | None:
    from convert.bundle.platforms.android import sample

    return None if choices.app == "no" else sample.add_project(folder, progress)


_PACKINGS = {
    "litert": Packing(Choices, _stages, _tools, _pack),
    "onnx": Packing(ProjectChoices, _project_stages, pack=_pack_project),
}
PLATFORM = Platform("android", "litert", _PACKINGS)
