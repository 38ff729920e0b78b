"""What a platform says of itself: which kind of model it ships, and what it packs around the bundle's papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import PlanError
from convert.targets import all_targets
from convert.targets.target import Target

if TYPE_CHECKING:
    from convert.costs import Rates, Stage
    from convert.progress import Progress

NAMES = ("android", "ios")  # each has a module of its own in this package


@dataclass(frozen=True)
class Platform:
    """A platform.

    Attributes:
        name: as users call it; of its module, and of the folder that takes its bundles.
        target: name of the target that it ships unless another is asked for.
        choices: the dataclass of its own flags, see ``convert.choices``.
        stages: what packing a model of so many bytes costs.
        tools: what packing needs, or why it will not be done; sought before the long work. Whatever it gives is handed
            to ``pack``.
        pack: adds to a bundle with finished papers, and to its manifest; what became of it, in a line, or None.
    """

    name: str
    target: str
    choices: type[Any]
    stages: Callable[[Any, int, Rates], tuple[Stage, ...]]
    tools: Callable[[Any, Progress], Any]
    pack: Callable[[Path, Any, Any, Path, Progress], str | None]


def find_platform(asked: str, name: str) -> Platform:
    """A platform by name.

    Raises:
        PlanError: there is none of that name; names all.
    """
    if name not in NAMES:
        raise PlanError(asked, f"there is no platform {name!r}", f"Use one of: {', '.join(NAMES)}")
    found: Platform = import_module(f"convert.bundle.{name}").PLATFORM
    return found


def find_target(asked: str, platform: Platform, runtime: str | None) -> Target:
    """The target that a platform ships.

    Args:
        runtime: name of the one that was asked for.

    Raises:
        PlanError: the platform does not ship it.
    """
    name = runtime or platform.target
    able = [target.name for target in all_targets().values() if platform.name in target.platforms]
    if name not in able:
        found = f"--runtime {name} was given, which {platform.name} does not have"
        raise PlanError(asked, found, f"Use one of: {', '.join(able)}")
    return all_targets()[name]
