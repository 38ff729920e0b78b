"""What a platform says of itself: which kinds of model it ships, and what it packs around a bundle's papers.

A platform is a module of ``convert.bundle.platforms`` with a ``PLATFORM``. It is found there by its name; nothing else
lists it. It ships every target that names it (``Target.platforms``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from convert.bundle import platforms
from convert.errors import PlanError
from convert.targets import all_targets
from convert.targets.target import Target

if TYPE_CHECKING:
    from convert.costs import Rates, Stage
    from convert.progress import Progress


@dataclass(frozen=True)
class Unchanged:
    """The choices of a platform that ships a bundle as it is: none."""


@dataclass(frozen=True)
class Packing:
    """What a platform packs around a model of one target; by default nothing.

    Attributes:
        choices: the dataclass of its own flags, see ``convert.choices``.
        stages: what packing a model of so many bytes costs.
        tools: what packing needs, or why it will not be done; sought before the long work. Whatever it gives is handed
            to ``pack``.
        pack: adds to a bundle with finished papers, and to its manifest; what became of it, in a line, or None.
    """

    choices: type[Any] = Unchanged
    stages: Callable[[Any, int, Rates], tuple[Stage, ...]] = lambda choices, model, rates: ()
    tools: Callable[[Any, Progress], Any] = lambda choices, progress: None
    pack: Callable[[Path, Any, Any, Path, Progress], str | None] = lambda folder, tools, choices, work, progress: None


@dataclass(frozen=True)
class Platform:
    """A platform.

    Attributes:
        name: as users call it; of its module, and of the folder that takes its bundles.
        target: name of the target that it ships unless another is asked for.
        packings: by name of a target. A model of any other is shipped as it is.
    """

    name: str
    target: str
    packings: Mapping[str, Packing] = field(default_factory=dict)

    def packing(self, target: str) -> Packing:
        """What is packed around a model of a target."""
        return self.packings.get(target, Packing())


@cache
def all_platforms() -> dict[str, Platform]:
    """Every platform by name, sorted."""
    names = sorted(module.name for module in iter_modules(platforms.__path__))
    return {name: import_module(f"{platforms.__name__}.{name}").PLATFORM for name in names}


def find_platform(asked: str, name: str) -> Platform:
    """A platform by name.

    Raises:
        PlanError: there is none of that name; names all.
    """
    if name not in all_platforms():
        raise PlanError(asked, f"there is no platform {name!r}", f"Use one of: {', '.join(all_platforms())}")
    return all_platforms()[name]


def shipped(platform: Platform) -> tuple[Target, ...]:
    """The targets that a platform can ship, its own first."""
    able = [target for target in all_targets().values() if platform.name in target.platforms]
    return tuple(sorted(able, key=lambda target: target.name != platform.target))


def find_target(asked: str, platform: Platform, runtime: str | None) -> Target:
    """The target that a platform ships.

    Args:
        runtime: name of the one that was asked for.

    Raises:
        PlanError: the platform does not ship it.
    """
    name = runtime or platform.target
    able = {target.name: target for target in shipped(platform)}
    if name not in able:
        found = f"--runtime {name} was given, which {platform.name} does not have"
        raise PlanError(asked, found, f"Use one of: {', '.join(able)}")
    return able[name]
