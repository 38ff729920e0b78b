"""Opens a drafter's checkpoint, which lies in a folder of its own, for the model that it drafts for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.checkpoint import Located, hub, other_kinds, read_module, resolve, used_files
from convert.checkpoint.config import CONFIG, TextConfig
from convert.checkpoint.fields import Fields
from convert.checkpoint.format import choose
from convert.checkpoint.known import known
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.modules.drafter import DrafterConfig, ordering, outline
from convert.checkpoint.names import by_published_name
from convert.checkpoint.outline import Outline
from convert.checkpoint.safetensors import INDEX, read_folder
from convert.checkpoint.strict_json import read_object
from convert.checkpoint.types import Checkpoint, Source
from convert.errors import CheckpointError

if TYPE_CHECKING:
    from convert.progress import Progress

NAME, AUTO = "drafter", "auto"
_DEMO = "demo"
_SMALL = (CONFIG, INDEX)  # its tokenizer, 32 MB, is the model's and is not read


def published(model: str, asked: str) -> str:
    """The drafter that is published for a model: what ``--drafter auto`` stands for.

    Args:
        model: as the user gave it.

    Raises:
        CheckpointError: none is known, for weights of this kind.
    """
    if model == _DEMO:
        return _DEMO
    match = None if Path(model).expanduser().is_dir() else hub.HUB_ID.fullmatch(model)
    drafters = known().drafters
    if match is None:
        found = "--drafter auto goes by the model's hub id, and none was given"
    elif match["id"] in drafters:
        return drafters[match["id"]]
    else:
        found = f"--drafter auto: no drafter is known to be published for {match['id']}"
    raise CheckpointError(asked, found, f"Give one by its id or folder, such as {' or '.join(drafters.values())}")


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
    return resolve(model, progress=progress, check=check, small=_SMALL)


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
