"""What a repository on the hub holds, judged by its list of files before the weights are fetched."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from convert.checkpoint.config import CONFIG
from convert.checkpoint.safetensors import INDEX, INDEX_LIMIT, SINGLE
from convert.checkpoint.strict_json import read_object, shown
from convert.errors import HubError

_SHA256 = re.compile("[0-9a-f]{64}")
# Other ways to hold a model, by what their files are called.
_OTHERS = {
    "*.gguf": "GGUF, for llama.cpp",
    "*.litertlm": "a .litertlm, which is finished",
    "*.task": "a .task, which is finished",
    "*.bin": "PyTorch pickles",
    "*.pt": "PyTorch pickles",
    "*.npz": "NumPy archives",
    "*.onnx": "ONNX",
    "adapter_model.safetensors": "an adapter, to be merged with its base model first",
}


def listing(model: str, commit: str, folder: Path) -> Mapping[str, int]:
    """Names and sizes in bytes of a commit's files, as the hub's client has noted them; else of those in the cache."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        return {file.path: file.size for file in get_cached_repo_tree(model, revision=commit)}
    except CachedRepoTreeNotFoundError:  # an older client filled the cache, and the hub could not be asked
        return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}


def check_listing(asked: str, files: Mapping[str, int]) -> None:
    """Refuses a repository whose list of files has no configuration or no weights that are read.

    Raises:
        HubError: says what there is instead.
    """
    if CONFIG in files and (SINGLE in files or INDEX in files):
        return
    missing = CONFIG if CONFIG not in files else SINGLE
    held = next((said for pattern, said in _OTHERS.items() if any(fnmatch(name, pattern) for name in files)), None)
    found = f"the repository has no {missing}" + (f"; it holds {held}" if held else "")
    raise HubError(asked, found, "Take the repository with the safetensors of the transformers library; see list")


def weight_files(asked: str, files: Mapping[str, int], folder: Path) -> dict[str, int]:
    """The files with the weights, with their sizes in bytes: the single one, or the shards that the index names.

    Args:
        folder: with the small files.

    Raises:
        HubError: the index names a file that the repository does not have.
        CheckpointError: the index cannot be read.
    """
    names = {SINGLE} & set(files)
    if INDEX in files:
        weight_map = read_object(folder / INDEX, asked, INDEX_LIMIT).get("weight_map")
        names |= {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()
    absent = sorted(names - set(files))
    if absent:
        found = f"{INDEX} names {shown(absent[0])}, which the repository does not have"
        raise HubError(asked, found, "Take another revision: id@revision")
    return {name: files[name] for name in sorted(names)}


def check_room(asked: str, needed: int, cache: Path) -> None:
    """Refuses a download that the cache's disk has no room for.

    Raises:
        HubError: names both figures and the way out.
    """
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        found = f"its weights take {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free at {cache}"
        raise HubError(asked, found, "Free some space, or set HF_HOME to a folder on another disk")


def check_arrived(asked: str, file: Path) -> None:
    """Holds a downloaded file against the SHA-256 that the hub promised; what differs is removed.

    The client compares sizes alone. In its cache a large file lies under the SHA-256 that was promised.

    Raises:
        HubError: the bytes are others.
    """
    stored = file.resolve()
    if not _SHA256.fullmatch(stored.name):
        return
    with stored.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != stored.name:
        file.unlink()
        stored.unlink(missing_ok=True)
        said = f"{file.name} arrived with SHA-256 {found[:12]}..., the hub promised {stored.name[:12]}..."
        raise HubError(asked, said, "It was removed. Run the command again")
