"""A bundle folder: nothing in it is read before every file is what ``manifest.json`` says, that file included.

``self_sha256`` in the manifest is the SHA-256 of manifest.json itself with those 64 digits as zeros. So a single
changed byte anywhere in a bundle is found, and named by its file. This tells damage, and editing by hand; it is no
signature: who makes all digests anew makes another bundle.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import file_sha256, listing_sha256, read_regular

MANIFEST, PARITY, GOLDEN = "manifest.json", "parity.json", "golden.json"
LARGEST_MANIFEST = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """A listed file: its size in bytes and its SHA-256."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the judge needs of a manifest.

    Attributes:
        model: name of the model's file or folder.
        files: every file of the bundle but the manifest.
        artifact_sha256: what the report was about.
        source_id, revision, source: the checkpoint, and its files.
        platform: which it was made for; empty where it is not said.
    """

    model: str
    files: dict[str, Entry]
    artifact_sha256: str
    source_id: str
    revision: str | None
    source: dict[str, Entry]
    platform: str = ""


def find_model(path: Path) -> Path:
    """The model to judge.

    Args:
        path: the file itself, or a bundle folder with ``manifest.json``.

    Raises:
        InputError: nothing there, or a file that is not what the manifest says; the message names it.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    return path / check(path).model


def check(folder: Path) -> Manifest:
    """Holds every file of a bundle to its manifest, and the manifest to its own digest.

    Raises:
        InputError: a file is changed, missing, not listed, a link, or out of place; the message names it.
    """
    manifest = _read(folder)
    listed, present = set(manifest.files), _present(folder)
    for name in sorted(listed - present):
        raise InputError(f"{folder.name}: {name} is in the manifest but not in the bundle")
    for name in sorted(present - listed - {MANIFEST}):
        raise InputError(f"{folder.name}: {name} is in the bundle but not in the manifest")
    for name, entry in sorted(manifest.files.items()):
        size = (folder / name).stat().st_size
        if size != entry.bytes:
            raise InputError(f"{folder.name}: {name} has {size} bytes, the manifest says {entry.bytes}")
        found = _digest(folder / name)
        if found != entry.sha256:
            raise InputError(
                f"{folder.name}: {name} was changed after packaging: its SHA-256 is {found[:12]}..., "
                f"the manifest says {entry.sha256[:12]}..."
            )
    _bound(folder, manifest)
    return manifest


def _read(folder: Path) -> Manifest:
    path, where = folder / MANIFEST, f"{folder.name}/{MANIFEST}"
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise InputError(f"{where}: larger than {LARGEST_MANIFEST} bytes")
        data = read_regular(path)
    except FileNotFoundError as error:
        raise InputError(f"{folder.name}: no {MANIFEST}; it is no bundle") from error
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        own = _sha256(found["self_sha256"])
        files, source = _entries(found["files"]), found["source"]
        bound = _sha256(found["parity"]["artifact_sha256"])
        revision = None if source["revision"] is None else str(source["revision"])
        made_from = _entries(source["files"])
        manifest = Manifest(
            str(found["model"]), files, bound, str(source["id"]), revision, made_from, str(found.get("platform", ""))
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: damaged, or no manifest of a bundle ({error!r})") from error
    value = f'"self_sha256": "{own}"'.encode()
    zeroed = data.replace(value, value.replace(own.encode(), b"0" * 64))
    if data.count(value) != 1 or hashlib.sha256(zeroed).hexdigest() != own:
        raise InputError(f"{where}: was changed after packaging: it does not have the SHA-256 that it states of itself")
    for name in (*files, *made_from):
        parts = PurePosixPath(name).parts
        if not parts or "/".join(parts) != name or ".." in parts or name.startswith("/") or "\\" in name:
            raise InputError(f"{where}: file {name!r} lies outside the bundle")
    if manifest.model not in files and not any(name.startswith(f"{manifest.model}/") for name in files):
        raise InputError(f"{where}: the model {manifest.model!r} is not among its files")
    return manifest


def _present(folder: Path) -> set[str]:
    """Names of everything that is no plain folder.

    Raises:
        InputError: a link, which may lead anywhere, or something else that is no file.
    """
    out = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"{folder.name}: {name} is neither a file nor a folder")
        if path.is_file():
            out.add(name)
    return out


def _bound(folder: Path, manifest: Manifest) -> None:
    """Report and golden file in the bundle, and what the manifest says, must speak of the model that lies there."""
    if manifest.model in manifest.files and _model_digest(manifest) != manifest.artifact_sha256:
        raise InputError(f"{folder.name}/{MANIFEST}: its parity speaks of another file than {manifest.model}")
    if PARITY not in manifest.files:
        raise InputError(f"{folder.name}: no {PARITY}; nothing was proven of this bundle")
    try:
        stated = json.loads((folder / PARITY).read_bytes().decode("utf-8"))["artifact"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder.name}/{PARITY}: cannot be read ({error!r})") from error
    if stated != manifest.artifact_sha256:
        raise InputError(f"{folder.name}/{PARITY}: speaks of another file than {manifest.model}")
    if GOLDEN in manifest.files:
        try:
            replayed = json.loads((folder / GOLDEN).read_bytes().decode("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{folder.name}/{GOLDEN}: cannot be read ({error!r})") from error
        if isinstance(replayed, dict) and replayed.get("artifact_sha256") != manifest.artifact_sha256:
            raise InputError(f"{folder.name}/{GOLDEN}: speaks of another file than {manifest.model}")


def _model_digest(manifest: Manifest) -> str:
    """SHA-256 of the model; of one in several files, of the lines that ``sha256sum`` prints of them, by name.

    Its files have its suffix, or that and ``.data`` behind it.
    """
    suffix = PurePosixPath(manifest.model).suffix
    names = [name for name in sorted(manifest.files) if "/" not in name and name.endswith((suffix, f"{suffix}.data"))]
    if names == [manifest.model]:
        return manifest.files[manifest.model].sha256
    return listing_sha256({name: manifest.files[name].sha256 for name in names})


def _entries(files: Any) -> dict[str, Entry]:
    return {name: Entry(_count(entry["bytes"]), _sha256(entry["sha256"])) for name, entry in files.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key is there twice")
    return out


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} is no SHA-256")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no size in bytes")
    return value


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path.parent.name}: {path.name} cannot be read ({error.strerror})") from error
