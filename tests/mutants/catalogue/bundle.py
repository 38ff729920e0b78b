"""Faults in a finished bundle: a file is not the one that the manifest speaks of. The judge refuses to begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.mutants.mutant import REFUSED, Mutant, Repack, everywhere

KIND = "bundle"
MANIFEST = "manifest.json"


def _model(folder: Path) -> str:
    """The largest file, which is the model or holds its weights."""
    listed: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    return max(listed, key=lambda name: listed[name]["bytes"])


def _flip(place: float, name: str = "") -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / (name or _model(folder))
        content = bytearray(path.read_bytes())
        content[int(len(content) * place)] ^= 1
        path.write_bytes(content)

    return apply


def manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A changed manifest with the right digest of itself: the change has to be seen, not the changed byte."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        change(content)
        text = json.dumps({**content, "self_sha256": "0" * 64})
        own = hashlib.sha256(text.encode()).hexdigest()
        (folder / MANIFEST).write_text(text.replace(f'"self_sha256": "{"0" * 64}"', f'"self_sha256": "{own}"'), "utf-8")

    return apply


def _report_of_another(
    name: str, key: Callable[[dict[str, Any]], dict[str, Any]], field: str
) -> Callable[[Path], None]:
    """A report that speaks of another file, entered into the manifest as if it belonged there."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        key(content)[field] = "0" * 64
        text = json.dumps(content).encode()
        (folder / name).write_bytes(text)
        digest = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        manifest(lambda content: content["files"].update({name: digest}))(folder)

    return apply


def _wrong_hash(folder: Path) -> None:
    model = _model(folder)

    def change(content: dict[str, Any]) -> None:
        content["files"][model]["sha256"] = content["files"]["parity.json"]["sha256"]

    manifest(change)(folder)


def _outside(content: dict[str, Any]) -> None:
    content["files"]["../mutant"] = content["files"]["LICENSE"]


def _no_files(content: dict[str, Any]) -> None:
    del content["files"]


def _stranger(folder: Path) -> None:
    path = folder / _model(folder)
    path.with_stem(f"{path.stem}2").write_bytes(path.read_bytes())


def _mutant(name: str, what: str, change: Callable[[Path], None]) -> Iterator[Mutant]:
    return everywhere(name, KIND, "mobile", what, (REFUSED,), Repack(change))


MUTANTS: tuple[Mutant, ...] = (
    *_mutant("model_byte_changed", "one bit of the model, in the middle", _flip(0.5)),
    *_mutant("golden_changed", "one bit of golden.json", _flip(0.5, "golden.json")),
    *_mutant("report_changed", "one bit of parity.json", _flip(0.3, "parity.json")),
    *_mutant("licence_changed", "one bit of the licence", _flip(0.1, "LICENSE")),
    *_mutant("manifest_changed", "one bit of the manifest", _flip(0.5, MANIFEST)),
    *_mutant("wrong_hash", "the manifest has another file's hash for the model", _wrong_hash),
    *_mutant("manifest_leads_outside", "the manifest names a file beside the bundle", manifest(_outside)),
    *_mutant("manifest_without_files", "the manifest lists nothing", manifest(_no_files)),
    *_mutant("manifest_gone", "a folder without a manifest", lambda folder: (folder / MANIFEST).unlink()),
    *_mutant("report_gone", "parity.json is missing", lambda folder: (folder / "parity.json").unlink()),
    *_mutant(
        "report_of_another_file",
        "parity.json speaks of another model",
        _report_of_another("parity.json", lambda content: content["artifact"], "sha256"),
    ),
    *_mutant(
        "golden_of_another_file",
        "golden.json speaks of another model",
        _report_of_another("golden.json", lambda content: content, "artifact_sha256"),
    ),
    *_mutant("file_that_nobody_announced", "a second model lies in the folder", _stranger),
)
