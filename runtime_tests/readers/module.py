"""What a whole Gemma 4 is made of, as its stored names and config.json tell it; one file each in ``modules``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from runtime_tests.readers.dimensions import Dimensions

MODULES = "runtime_tests.readers.modules"


@dataclass(frozen=True)
class Module:
    """What a module's file says, as ``MODULE``.

    Attributes:
        roots: first words of its tensors' names, behind ``model.``.
        config: its key in transformers' configuration, if a model can be loaded without it.
    """

    roots: tuple[str, ...]
    config: str | None = None

    def key(self, name: str, nested: bool) -> str | None:
        """The name below the module of a tensor that begins with one of the roots; None: it is no part of the model.

        Args:
            name: without ``model.`` in front.
            nested: config.json is that of a whole Gemma 4.
        """
        return name

    def prefix(self, nested: bool) -> str:
        """What the names of its modules begin with in transformers, before the key."""
        return "model."

    def unused(self, key: str, dims: Dimensions) -> bool:
        """Whether transformers does not compute with a tensor although some checkpoints store it."""
        return False


@cache
def known() -> Mapping[str, Module]:
    """Every module by its name."""
    names = sorted(at.name for at in iter_modules(import_module(MODULES).__path__))
    return {name: import_module(f"{MODULES}.{name}").MODULE for name in names}


def module_of(name: str) -> tuple[str, str]:
    """The module that a stored tensor belongs to, and its name without what transformers adds or removes in front.

    That is one ``model.``, so this part says nothing. What begins with no module's root is the text decoder's.
    """
    bare = re.sub(r"^(?:model\.){0,2}", "", name)
    first = bare.partition(".")[0]
    return next((each for each, module in known().items() if first in module.roots), "text"), bare
