"""Faults in a finished bundle: a file is not the one that the manifest speaks of. The judge refuses to begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.mutants.mutant import REFUSED, Mutant, Repack

KIND = "bundle"
MODEL, MANIFEST = "model.litertlm", "manifest.json"


def _flip(name: str, place: float) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(len(content) * place)] ^= 1
        (folder / name).write_bytes(content)

    return apply


def _manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
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
        _manifest(lambda manifest: manifest["files"].update({name: digest}))(folder)

    return apply


def _wrong_hash(manifest: dict[str, Any]) -> None:
    manifest["files"][MODEL]["sha256"] = manifest["files"]["parity.json"]["sha256"]


def _outside(manifest: dict[str, Any]) -> None:
    manifest["files"]["../mutant"] = manifest["files"][MODEL]


def _no_files(manifest: dict[str, Any]) -> None:
    del manifest["files"]


def _stranger(folder: Path) -> None:
    (folder / "model2.litertlm").write_bytes((folder / MODEL).read_bytes())


def _mutant(name: str, what: str, change: Callable[[Path], None]) -> Mutant:
    return Mutant(name, KIND, "mobile", what, (REFUSED,), Repack(change))


MUTANTS = (
    _mutant("model_byte_changed", "one bit of the model, in the middle", _flip(MODEL, 0.5)),
    _mutant("golden_changed", "one bit of golden.json", _flip("golden.json", 0.5)),
    _mutant("report_changed", "one bit of parity.json", _flip("parity.json", 0.3)),
    _mutant("licence_changed", "one bit of the licence", _flip("LICENSE", 0.1)),
    _mutant("manifest_changed", "one bit of the manifest", _flip(MANIFEST, 0.5)),
    _mutant("wrong_hash", "the manifest has another file's hash for the model", _manifest(_wrong_hash)),
    _mutant("manifest_leads_outside", "the manifest names a file beside the bundle", _manifest(_outside)),
    _mutant("manifest_without_files", "the manifest lists nothing", _manifest(_no_files)),
    _mutant("manifest_gone", "a folder without a manifest", lambda folder: (folder / MANIFEST).unlink()),
    _mutant("report_gone", "parity.json is missing", lambda folder: (folder / "parity.json").unlink()),
    _mutant(
        "report_of_another_file",
        "parity.json speaks of another model",
        _report_of_another("parity.json", lambda content: content["artifact"], "sha256"),
    ),
    _mutant(
        "golden_of_another_file",
        "golden.json speaks of another model",
        _report_of_another("golden.json", lambda content: content, "artifact_sha256"),
    ),
    _mutant("file_that_nobody_announced", "a second model lies in the folder", _stranger),
)
