"""Finding the checkpoint that a bundle was made from, for those who name only the bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import Manifest

DEMO = Path(__file__).parents[2] / "convert" / "demo" / "checkpoint"


def checkpoint_of(manifest: Manifest, given: Path | None = None) -> Path:
    """The folder whose files are, by SHA-256, those that the manifest lists as its source.

    Args:
        manifest: of the bundle.
        given: the folder, where the user named it; otherwise the embedded demo, or the local cache of the hub. Nothing
            is downloaded.

    Raises:
        InputError: it is not known where the checkpoint lies, or it is another one.
    """
    folder = given or _known(manifest)
    for name, entry in sorted(manifest.source.items()):
        file = folder / name
        if not file.is_file():
            raise InputError(f"{folder}: no {name}, which the bundle was made from")
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != entry.sha256:
                raise InputError(f"{folder}: the bundle was made from another {name}")
    return folder


def _known(manifest: Manifest) -> Path:
    if manifest.source_id == "demo":
        return DEMO
    if manifest.revision is not None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            found = snapshot_download(manifest.source_id, revision=manifest.revision, local_files_only=True)
            return Path(found)
        except (LocalEntryNotFoundError, HFValidationError):
            pass
    raise InputError(f"it is not known where the checkpoint {manifest.source_id} lies; give it with --checkpoint")
