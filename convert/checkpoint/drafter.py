"""Opens a drafter's checkpoint, which lies in a folder of its own, for the model that it drafts for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.checkpoint import Located, other_kinds, read_module, resolve, used_files
from convert.checkpoint.config import CONFIG, TextConfig
from convert.checkpoint.fields import Fields
from convert.checkpoint.format import choose
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.modules.drafter import DrafterConfig, ordering, outline
from convert.checkpoint.names import by_published_name
from convert.checkpoint.outline import Outline
from convert.checkpoint.safetensors import read_folder
from convert.checkpoint.strict_json import read_object
from convert.checkpoint.types import Checkpoint, Source

if TYPE_CHECKING:
    from convert.progress import Progress

NAME = "drafter"
_DEMO = "demo"


def check_small(folder: Path, target: TextConfig) -> None:
    """What config.json can refuse before the weights are there: another model, or a drafter of another one.

    Raises:
        CheckpointError: says what it is, or in what it does not fit.
    """
    _outline(folder, target)


def locate(
    model: str | Path, *, progress: Progress | None = None, check: Callable[[Path], None] = lambda folder: None
) -> Located:
    """Finds a drafter as ``resolve`` finds a model; ``demo`` is the embedded one.

    Args:
        check: called with a folder that holds everything but the weights, before these are downloaded.

    Raises:
        HubError, CheckpointError: as ``resolve``.
    """
    if model == _DEMO:
        return Located(importlib.import_module("convert.demo").drafter(), _DEMO, None, _DEMO)
    return resolve(model, progress=progress, check=check)


def open_drafter(located: Located, checkpoint: Checkpoint) -> Checkpoint:
    """The model's checkpoint together with its drafter.

    Raises:
        CheckpointError: it is no drafter, does not fit the model, or does not hold what its config.json promises.
    """
    folder, asked = located.folder, f"read {located.folder}"
    other_kinds.check_folder(folder, asked)
    wanted, (name, settings) = _outline(folder, checkpoint.text.config)
    stored = read_folder(folder, asked)
    names = by_published_name(stored, False, asked, str(folder))
    ledger = Ledger({name: stored[each] for name, each in names.items()}, asked)
    module = read_module(name, ledger, wanted, settings)
    module = replace(module, indices=ordering(ledger, module.config))
    left_out = ledger.close(lambda each: wanted.left_out(each, ledger.stored, asked))
    source = Source(located.id, located.revision, {})
    drafter = Checkpoint(format=name, folder=folder, modules={NAME: module}, left_out=left_out, source=source)
    return replace(checkpoint, modules={**checkpoint.modules, NAME: module}, drafter=drafter)


def all_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """The files that a model and its drafter are read from."""
    return (*used_files(checkpoint), *(() if checkpoint.drafter is None else used_files(checkpoint.drafter)))


def _outline(folder: Path, target: TextConfig) -> tuple[Outline[DrafterConfig], tuple[str, Fields | None]]:
    asked = f"read {folder}"
    whole = Fields(read_object(folder / CONFIG, asked), CONFIG, asked)
    wanted = outline(whole, target)
    return wanted, choose(whole.object("text_config"), whole)
