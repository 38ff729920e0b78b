"""What people hand in instead of a checkpoint that can be read: said by its name, with what to use in its place."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convert.checkpoint.module import kinds
from convert.checkpoint.names import MERGE
from convert.errors import CheckpointError

USE = (
    "Use google/gemma-4-{E2B,E4B}-it-qat-mobile-transformers or google/gemma-4-{E2B,E4B}-it-qat-q4_0-unquantized, "
    "or a folder with one of them"
)
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = re.compile(r".+\.(?:bin|pt|pth|pkl|ckpt)")
_SHARD = re.compile(r"model-[0-9]+-of-[0-9]+\.safetensors")
_LFS = b"version https://git-lfs.github.com/spec/"
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
# The beginning of a file, where it says what it is.
_MAGICS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (
        lambda head: head.startswith(b"GGUF"),
        "a GGUF file, made for llama.cpp; its numbers are not the checkpoint's any more",
        "Use google/gemma-4-{E2B,E4B}-it-qat-q4_0-unquantized, which holds the same lattice exactly",
    ),
    (lambda head: head.startswith(b"PK\x03\x04"), "a zip archive", "Unpack it and give the folder"),
    (lambda head: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")), "a packed archive", "Unpack it"),
    (lambda head: head[257:262] == b"ustar", "a tar archive", "Unpack it and give the folder"),
    (
        lambda head: head.startswith(b"LITERTLM"),
        "a finished .litertlm, not a checkpoint",
        "Look into it with inspect, talk with it with chat, judge it with verify",
    ),
    (lambda head: head[4:8] == b"TFL3", "a TFLite model, not a checkpoint", USE),
    (
        lambda head: len(head) > 9 and not any(head[4:8]) and head[8:9] == b"{",
        "a .safetensors file alone",
        "Give the folder that holds it, with config.json and the tokenizer's files beside it",
    ),
)

_OTHER_MODELS = {
    "gemma4_unified": "a Gemma 4 of the unified kind, as the 12B is, whose decoder is another one",
    "gemma4_unified_text": "a Gemma 4 of the unified kind, as the 12B is, whose decoder is another one",
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text"), "an older Gemma than 4"),
}


def file_refusal(path: Path, asked: str) -> CheckpointError:
    """Why a path that is no folder is no model."""
    found, action = "it is a file", "Give the folder of a checkpoint, a hub id org/name[@revision] or demo"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return CheckpointError(asked, "it is neither a file nor a folder", action)
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        return CheckpointError(asked, f"it cannot be read ({error.strerror})", action)
    for test, what, instead in _MAGICS:
        if test(head):
            return CheckpointError(asked, f"it is {what}", instead)
    return CheckpointError(asked, found, action)


def check_folder(folder: Path, asked: str) -> None:
    """Refuses a folder that is of another kind than a checkpoint in safetensors.

    Raises:
        CheckpointError: says of which kind, and what to use instead.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise CheckpointError(asked, f"the folder cannot be read ({error.strerror})", "Get permission to it") from error
    if not names:
        raise CheckpointError(asked, "the folder is empty", USE)
    adapters = [name for name in _ADAPTERS if name in names]
    if adapters and "config.json" not in names:
        raise CheckpointError(asked, f"it is an adapter without its model ({adapters[0]})", MERGE)
    if adapters:
        raise CheckpointError(asked, f"an adapter that is not merged lies beside the model ({adapters[0]})", MERGE)
    if _SINGLE not in names and _INDEX not in names:
        _check_weights(folder, names, asked)
    for name in names:
        if name in ("config.json", "tokenizer.json") or name.endswith(".safetensors"):
            _check_pointer(folder / name, asked)


def _check_weights(folder: Path, names: list[str], asked: str) -> None:
    """Tells what lies there in place of the weights, where that can be told."""
    shards = [name for name in names if _SHARD.fullmatch(name)]
    if shards:
        raise CheckpointError(asked, f"{shards[0]} is there and {_INDEX} is not", "Download the checkpoint again")
    gguf = [name for name in names if name.endswith(".gguf")]
    if gguf:
        refusal = file_refusal(folder / gguf[0], asked)
        found = refusal.found if "GGUF" in refusal.found else "it is a GGUF file by its name"
        raise CheckpointError(asked, f"the weights are in {gguf[0]}: {found.removeprefix('it is ')}", _MAGICS[0][2])
    pickles = [name for name in names if _PICKLES.fullmatch(name)]
    if pickles:
        found = f"the weights are in {pickles[0]}, a pickle, which can run code when it is opened and is never read"
        raise CheckpointError(asked, found, "Save the model as safetensors (transformers does), or use a published one")
    below = [name for name in names if (folder / name / "config.json").is_file()]
    if "config.json" not in names and len(below) == 1:
        raise CheckpointError(asked, f"config.json is missing; there is one in {below[0]}", f"Give {folder / below[0]}")


def _check_pointer(path: Path, asked: str) -> None:
    if not path.is_file() or path.stat().st_size > 1024:
        return
    try:
        with path.open("rb") as file:
            pointer = file.read(len(_LFS)) == _LFS
    except OSError as error:
        raise CheckpointError(asked, f"{path.name} cannot be read ({error.strerror})", "Get permission") from error
    if pointer:
        found = f"{path.name} is a pointer of Git LFS and not the file itself"
        raise CheckpointError(asked, found, "Run git lfs pull in the folder, or download it from the hub by its id")


def check_config(values: Mapping[str, Any], asked: str) -> None:
    """Refuses the configuration of a model that is known and not read, by the model's name.

    Args:
        values: of config.json.

    Raises:
        CheckpointError: says which model it is, and what to use instead.
    """
    model = values.get("model_type")
    if isinstance(model, str) and model in _OTHER_MODELS:
        raise CheckpointError(asked, f"it is {_OTHER_MODELS[model]} (model_type {model!r} in config.json)", USE)
    for kind in kinds().values():
        if (found := kind.unread(values)) is not None:
            raise CheckpointError(asked, f"it is {found}", USE)
