"""Which file to talk to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from convert.bundle import manifest as m
from convert.errors import ArtifactError
from convert.targets import onnx
from convert.targets.litert.inspect import inspect


def find(what: Path) -> Path:
    """The model to talk to; in a bundle its files must have the manifest's SHA-256, for damage makes native code crash.

    Raises:
        ArtifactError: nothing there, no bundle, or a damaged file.
    """
    asked = f"chat with {what}"
    if not what.exists():
        raise ArtifactError(asked, "there is no such file or folder", "Build it first: bundle android")
    if not what.is_dir():
        if what.suffix != ".onnx":
            inspect(what)
            return what
        return _with_companions(asked, what)
    if not (what / "manifest.json").is_file():
        raise ArtifactError(asked, "it has no manifest.json, so it is no bundle", "Give the folder of a bundle")
    files = m.read(what).files
    if onnx.TARGET.model in files:
        for name in (*onnx.MODELS, *(name for name in onnx.IMAGES if name in files), *onnx.COMPANIONS):
            _check(asked, what, name, files)
        return what / onnx.TARGET.model
    names = sorted(name for name in files if name.endswith(".litertlm") and Path(name).name == name)
    if len(names) != 1:
        raise ArtifactError(asked, f"its manifest names {len(names)} .litertlm files", "Build the bundle again")
    _check(asked, what, names[0], files)
    return what / names[0]


def _with_companions(asked: str, model: Path) -> Path:
    """A decoder in its folder, with all that lies beside it in a bundle."""
    absent = [name for name in (*onnx.MODELS, *onnx.COMPANIONS) if not model.with_name(name).is_file()]
    if model.name != onnx.TARGET.model or absent:
        found = f"{', '.join(absent)} is not beside it" if absent else f"it is not called {onnx.TARGET.model}"
        raise ArtifactError(asked, found, "Give the folder of a bundle")
    return model


def _check(asked: str, folder: Path, name: str, files: dict[str, m.File]) -> None:
    """Refuses a file that is not the manifest's."""
    path, expected = folder / name, files.get(name)
    if expected is None:
        raise ArtifactError(asked, f"its manifest does not name {name}", "Build the bundle again")
    if path.exists() and not path.is_file():  # before opening: opening a pipe would wait for ever
        raise ArtifactError(asked, f"{name} is not a regular file", "Build the bundle again")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(asked, f"{name} cannot be read ({error.strerror})", "Build the bundle again") from error
    if found != expected.sha256:
        said = f"{name} has SHA-256 {found[:12]}..., the manifest says {expected.sha256[:12]}..."
        raise ArtifactError(asked, said, "It is damaged or not of this bundle. Build the bundle again")
