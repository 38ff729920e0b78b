"""Stage 1: reads a checkpoint. Names, float tensors and quantized matrices, lazily; every byte of a header checked."""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.checkpoint import hub, other_kinds
from convert.checkpoint.config import CONFIG, TextConfig, read_config, read_fields
from convert.checkpoint.fields import Fields
from convert.checkpoint.format import choose, reader
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.module import Given, check_files, kinds, left_out, outlines
from convert.checkpoint.names import by_published_name
from convert.checkpoint.outline import Outline
from convert.checkpoint.safetensors import INDEX, read_folder
from convert.checkpoint.strict_json import read_object
from convert.checkpoint.types import ActivationScales, CacheScales, Checkpoint, FloatTensor, Module, Source
from convert.errors import CheckpointError

if TYPE_CHECKING:
    from convert.progress import Progress

__all__ = [
    "ActivationScales",
    "CacheScales",
    "Checkpoint",
    "FloatTensor",
    "Located",
    "Module",
    "Source",
    "TextConfig",
    "check_beside",
    "check_small_files",
    "name_of",
    "open_checkpoint",
    "open_folder",
    "read_config",
    "read_module",
    "resolve",
    "used_files",
    "with_digests",
]

_DEMO = "demo"
_BESIDE = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
# The converter does not read these; they shape the parity report, so the manifest binds the bundle to them too.
_JUDGED_BY = ("evaluation.jsonl", "accuracy.json")


@dataclass(frozen=True)
class Located:
    """Where a model's files lie.

    Attributes:
        folder: on this machine.
        id: ``demo``, the hub id, or the folder's name; never a path.
        revision: commit of the hub repository; None for a folder.
        name: of the bundle: ``demo``, the last part of the id, or the folder's name.
    """

    folder: Path
    id: str
    revision: str | None
    name: str


def name_of(model: str | Path) -> str | None:
    """What a model's bundle is called, without fetching it; None where ``resolve`` would refuse it."""
    if model == _DEMO:
        return _DEMO
    folder = Path(model).expanduser()
    if str(model) and folder.is_dir():
        return _readable(folder)
    match = hub.HUB_ID.fullmatch(str(model))
    return match["id"].split("/")[1] if match else None


def _readable(folder: Path) -> str:
    """A folder's name as text: its bytes need not be any, and a locale may lack letters of it."""
    return os.fsencode(folder.resolve().name).decode("utf-8", "replace")


def resolve(
    model: str | Path,
    *,
    progress: Progress | None = None,
    check: Callable[[Path], None] | None = None,
    small: tuple[str, ...] = hub.SMALL,
) -> Located:
    """Finds a model: ``demo``, a folder, or a hub id ``org/name[@revision]``, which is downloaded if need be.

    A name that is a folder is that folder, also when it looks like a hub id. The word ``demo`` is always the embedded
    checkpoint, so that the default does not depend on where a command is run; a folder of that name is ``./demo``.

    Args:
        check: called with a folder that holds everything but the weights, before these are downloaded; by default
            :func:`check_small_files`.
        small: patterns of the files beside the weights that are downloaded.

    Raises:
        HubError: the id does not exist or the hub cannot be reached.
        CheckpointError: neither a folder nor a hub id.
    """
    text = str(model)
    if model == _DEMO:
        # By name, because the writers of the demo build on this package.
        return Located(importlib.import_module("convert.demo").folder(), _DEMO, None, _DEMO)
    folder = Path(model).expanduser()
    if text and folder.is_dir():
        name = _readable(folder)
        return Located(folder, name, None, name)
    match = hub.HUB_ID.fullmatch(text) if isinstance(model, str) else None
    if match is None:
        if text and os.path.lexists(folder):
            raise other_kinds.file_refusal(folder, f"open {text}")
        raise CheckpointError(
            f"open {text}", "no such folder", "Give a folder with a checkpoint, a hub id org/name[@revision] or demo"
        )
    path, commit = hub.fetch(match["id"], match["revision"], progress, check=check or check_small_files, small=small)
    return Located(path, match["id"], commit, match["id"].split("/")[1])


def check_small_files(folder: Path, modalities: Collection[str] = (), *, required: bool = True) -> None:
    """What the files beside the weights can refuse: a config.json of another model, or of a format that is not read.

    Args:
        modalities: what is to be converted beside text.
        required: the checkpoint has to have all of it; else what it has of it is meant.

    Raises:
        CheckpointError: says what it is.
    """
    config = read_config(folder)
    text, whole = read_fields(folder)
    choose(text, whole)
    wanted = outlines(Given(config, whole, text is not whole), modalities, required=required)
    check_files(folder, f"read {folder}", wanted)


def open_checkpoint(model: str | Path, *, progress: Progress | None = None) -> Checkpoint:
    """Finds and opens a checkpoint: headers and scales are read and checked, weights are not.

    Args:
        model: ``demo``, a hub id ``org/name[@revision]``, or a folder.
        progress: told about a download.

    Raises:
        HubError: the model cannot be fetched.
        CheckpointError: it cannot be read, or does not hold exactly what its config.json promises.
    """
    return open_folder(resolve(model, progress=progress))


def open_folder(located: Located, modalities: Collection[str] = (), *, required: bool = True) -> Checkpoint:
    """Opens a checkpoint that has been found.

    Args:
        modalities: what is to be converted beside text; of the others, modules are recognized and left out.
        required: the checkpoint has to have all of it; else what it has of it is meant.
    """
    folder = located.folder
    asked = f"read {folder}"
    other_kinds.check_folder(folder, asked)
    other_kinds.check_config(read_object(folder / CONFIG, asked), asked)
    config = read_config(folder)
    text, whole = read_fields(folder)
    name, settings = choose(text, whole)
    nested = text is not whole
    wanted = outlines(Given(config, whole, nested), modalities, required=required)
    check_files(folder, asked, wanted)
    stored = read_folder(folder, asked)
    check_beside(folder, asked)
    names = by_published_name(stored, nested, asked, str(folder))
    ledger = Ledger({name: stored[each] for name, each in names.items()}, asked)
    opened = Checkpoint(
        format=name,
        folder=folder,
        modules={each: read_module(name, ledger, outline, settings) for each, outline in wanted.items()},
        left_out=ledger.close(lambda each: left_out(each, wanted, ledger)),
        source=Source(located.id, located.revision, {}),
    )
    for module in opened.modules.values():
        _check_ties(module, asked)
    return opened


def read_module(form: str, ledger: Ledger, outline: Outline[Any], settings: Fields | None) -> Module[Any]:
    """Takes a module's tensors from the ledger, in the format of that name."""
    found = reader(form).read(ledger, outline, settings)
    return Module(
        config=outline.config,
        stored=found.stored,
        quants=found.quants,
        floats=found.floats,
        activations=found.activations,
        caches=found.caches,
        ties=outline.ties,
        tables=frozenset(part.key for part in outline.parts if part.kind == "embedding"),
    )


def _check_ties(module: Module[Any], asked: str) -> None:
    """Refuses a matrix that shares the weights of quantized rows: what multiplies with it wants scales of its own."""
    for key, other in module.ties.items():
        if other in module.quants:
            said = f"config.json ties {key} to {other}, which is stored as integers; a tied one is read as floats alone"
            raise CheckpointError(asked, said, "Use a checkpoint as Google publishes it")


def check_beside(folder: Path, asked: str) -> None:
    """Refuses a file beside the weights that is there and cannot be read.

    Raises:
        CheckpointError: names the file and says what is wrong with it.
    """
    for name in (*_BESIDE, *_JUDGED_BY):
        path = folder / name
        if not os.path.lexists(path):
            continue
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # before opening: opening a pipe would wait for ever
                raise CheckpointError(asked, f"{name} is not a regular file", "Give the folder of the checkpoint")
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            raise CheckpointError(asked, f"{name} cannot be read ({error.strerror})", "Mend or remove it") from error


def used_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Configuration, weights, tokenizer and evaluation files that the checkpoint's folder holds, sorted by name."""
    names = [
        CONFIG,
        INDEX,
        *_BESIDE,
        *_JUDGED_BY,
        *(name for each in checkpoint.modules for name in kinds()[each].files),
    ]
    found = [checkpoint.folder / name for name in names if (checkpoint.folder / name).is_file()]
    tensors = read_folder(checkpoint.folder, f"read {checkpoint.folder}").values()
    return tuple(sorted({*found, *(tensor.file.path for tensor in tensors)}, key=lambda path: path.name))


def with_digests(checkpoint: Checkpoint, progress: Progress | None = None) -> Checkpoint:
    """The same checkpoint with SHA-256 and size of every file it was read from in ``source.files``; so its drafter.

    Reads every byte once (E2B: 2.4 GB), so it is not done on opening.
    """
    paths = used_files(checkpoint)
    if progress is None:
        files = {path.name: _digest(path, None) for path in paths}
    else:
        with progress.stage("digest", sum(path.stat().st_size for path in paths)) as task:
            files = {path.name: _digest(path, task.advance) for path in paths}
    digests: Mapping[str, tuple[str, int]] = files
    drafter = None if checkpoint.drafter is None else with_digests(checkpoint.drafter, progress)
    return replace(checkpoint, source=replace(checkpoint.source, files=digests), drafter=drafter)


def _digest(path: Path, advance: Callable[[int], None] | None) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            size += len(chunk)
            if advance is not None:
                advance(len(chunk))
    return digest.hexdigest(), size
