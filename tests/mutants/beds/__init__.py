"""What mutants grow on, one file for each target: it is found by its name, and all that another target has to bring.

``BEDS``: names of its beds, ``mobile`` among them. ``MAKES_ROWS``: whether its graphs make rotary rows and masks from
positions, or take them as inputs. ``TargetBed``: makes, changes and opens its models. ``OTHERWISE``, where it is there:
by names of faults that every target can have, the rungs that catch them in this one; none where it cannot have it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from tests.mutants.beds.bed import Bed


@cache
def adapters() -> dict[str, ModuleType]:
    """The file of every target, by its name."""
    names = sorted(item.name for item in iter_modules(__path__) if item.name != "bed")
    return {name: import_module(f"{__name__}.{name}") for name in names}


def open_bed(target: str, name: str, work: Path) -> Bed:
    """A target's bed by its name; ``work`` is a folder for files."""
    made: Bed = adapters()[target].TargetBed(name, work)
    return made
