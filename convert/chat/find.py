"""Which file to talk to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from convert.bundle import manifest as m
from convert.errors import ArtifactError
from convert.targets.litert.inspect import inspect


def find(what: Path) -> Path:
    """The model to talk to; in a bundle it must have the manifest's SHA-256, for damage makes native code crash.

    Raises:
        ArtifactError: nothing there, no bundle, or a damaged file.
    """
    asked = f"chat with {what}"
    if not what.exists():
        raise ArtifactError(asked, "there is no such file or folder", "Build it first: bundle android")
    if not what.is_dir():
        inspect(what)
        return what
    if not (what / "manifest.json").is_file():
        raise ArtifactError(asked, "it has no manifest.json, so it is no bundle", "Give the folder of a bundle")
    names = sorted(name for name in m.read(what).files if name.endswith(".litertlm") and Path(name).name == name)
    if len(names) != 1:
        raise ArtifactError(asked, f"its manifest names {len(names)} .litertlm files", "Build the bundle again")
    model, expected = what / names[0], m.read(what).files[names[0]]
    if model.exists() and not model.is_file():  # before opening: opening a pipe would wait for ever
        raise ArtifactError(asked, f"{names[0]} is not a regular file", "Build the bundle again")
    try:
        with model.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(asked, f"{names[0]} cannot be read ({error.strerror})", "Build the bundle again") from error
    if found != expected.sha256:
        said = f"{names[0]} has SHA-256 {found[:12]}..., the manifest says {expected.sha256[:12]}..."
        raise ArtifactError(asked, said, "It is damaged or not of this bundle. Build the bundle again")
    return model
