"""What a model is made of: the modules, each found by its file in ``convert.checkpoint.modules``."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from convert.checkpoint import modules
from convert.checkpoint.config import TextConfig
from convert.checkpoint.fields import Fields
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.outline import Outline
from convert.errors import CheckpointError


@dataclass(frozen=True)
class Given:
    """What config.json says.

    Attributes:
        text: of the text decoder.
        whole: all of it.
        nested: the text decoder is a part of a whole Gemma 4; else config.json speaks of nothing else.
    """

    text: TextConfig
    whole: Fields
    nested: bool


def _read(values: Mapping[str, Any]) -> str | None:
    return None


def _nothing(folder: Path, asked: str) -> None:
    """Any file will do."""


def _absent(given: Given) -> Outline[Any] | None:
    return None


@dataclass(frozen=True)
class Kind:
    """What a module's file says of it, as ``MODULE``.

    Attributes:
        title: in words.
        roots: first words of its tensors' published names, in a whole Gemma 4 behind ``model.``.
        config: where a whole Gemma 4's config.json speaks of it.
        unread: by the values of config.json: as what a checkpoint is refused for this module's sake; None: it is not.
        outline: what a checkpoint has to hold of it; None where it has none, or none that is converted.
        modality: what it takes in, as the command line calls it, where it is converted only if that is asked for.
        files: names of files beside the weights that have a say in it.
        beside: refuses a folder whose files ask for what is not done; a CheckpointError.
    """

    title: str
    roots: tuple[str, ...] = ()
    config: str | None = None
    unread: Callable[[Mapping[str, Any]], str | None] = _read
    outline: Callable[[Given], Outline[Any] | None] = _absent
    modality: str = ""
    files: tuple[str, ...] = ()
    beside: Callable[[Path, str], None] = _nothing


@cache
def kinds() -> Mapping[str, Kind]:
    """All modules that are known, by name."""
    names = sorted(module.name for module in iter_modules(modules.__path__))
    return {name: importlib.import_module(f"{modules.__name__}.{name}").MODULE for name in names}


def of_modality(modality: str) -> str | None:
    """Name of the module that takes it in; None: there is none that is converted."""
    return next((name for name, kind in kinds().items() if kind.modality == modality), None)


def modalities() -> tuple[str, ...]:
    """What can be asked for beside text."""
    return tuple(kind.modality for kind in kinds().values() if kind.modality)


def check_files(folder: Path, asked: str, modules: Collection[str]) -> None:
    """Refuses files beside the weights that ask for what is not done with a module that is converted.

    Raises:
        CheckpointError: names the file and the field.
    """
    for name in modules:
        kinds()[name].beside(folder, asked)


def outlines(given: Given, asked: Collection[str] = (), *, required: bool = True) -> dict[str, Outline[Any]]:
    """What a checkpoint has to hold, by module.

    Args:
        asked: modalities beside text that are to be converted.
        required: the checkpoint has to have them; else those that it has are meant.

    Raises:
        CheckpointError: config.json speaks of a module in a way that has no meaning, or not of one that is asked for.
    """
    found = {}
    for name, kind in kinds().items():
        if kind.config is not None and given.whole.has(kind.config):
            given.whole.object(kind.config)
        if kind.modality and kind.modality not in asked:
            continue
        if (outline := kind.outline(given)) is not None:
            found[name] = outline
        elif kind.modality and required:
            said = f"{kind.modality} input was asked for and the checkpoint has no {kind.title}"
            action = f"Use a checkpoint whose config.json has a {kind.config}, or leave {kind.modality} out"
            raise CheckpointError(given.whole.asked, said, action)
    return found


def left_out(name: str, converted: Mapping[str, Outline[Any]], ledger: Ledger) -> str | None:
    """Why a stored tensor that no module took is not converted; None: it belongs to nothing that is known."""
    for outline in converted.values():
        if (reason := outline.left_out(name, ledger.stored, ledger.asked)) is not None:
            return reason
    for kind in (kind for other, kind in kinds().items() if other not in converted):
        if any(re.fullmatch(rf"(?:model\.)?{re.escape(root)}\..+", name) for root in kind.roots):
            titles = [kinds()[other].title for other in converted]
            return f"{kind.title}; only the {' and the '.join(titles)} {'are' if titles[1:] else 'is'} converted"
    return None
