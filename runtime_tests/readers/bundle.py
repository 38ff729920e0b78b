"""A bundle folder or a bare ``.litertlm``: finds the model, and holds every file to the manifest's hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from runtime_tests.errors import InputError


def find_model(path: Path) -> Path:
    """The ``.litertlm`` to judge.

    Args:
        path: the file itself, or a bundle folder with ``manifest.json``.

    Raises:
        InputError: nothing there, or a file that is not what the manifest says; the message names it.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    models = sorted(name for name in check(path) if name.endswith(".litertlm"))
    if len(models) != 1:
        raise InputError(f"{path.name}: {len(models)} .litertlm files in the manifest, expected one")
    return path / models[0]


def check(path: Path) -> dict[str, str]:
    """Holds every file of a bundle folder to its manifest; their SHA-256 by name.

    Raises:
        InputError: no manifest, or a file that is not what it says; the message names it.
    """
    manifest = path / "manifest.json"
    try:
        files = _entries(json.loads(manifest.read_text("utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{path.name}: no manifest.json; it is no bundle") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name}/manifest.json: cannot be read ({error!r})") from error
    for name, digest in sorted(files.items()):
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()):
            raise InputError(f"{path.name}/manifest.json: file {name} lies outside the bundle")
        if not file.is_file():
            raise InputError(f"{path.name}: {name} is in the manifest but not in the bundle")
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != digest:
            raise InputError(f"{path.name}: {name} has SHA-256 {found[:12]}..., the manifest says {digest[:12]}...")
    return files


def _entries(manifest: Any) -> dict[str, str]:
    """Name and SHA-256 of every file; ``files`` is a mapping by name or a list of entries with a name."""
    files = manifest["files"]
    if isinstance(files, dict):
        return {str(name): str(entry["sha256"]) for name, entry in files.items()}
    return {str(entry.get("name", entry.get("path"))): str(entry["sha256"]) for entry in files}
