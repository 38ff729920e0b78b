"""Is a bundle what was packaged? The judge's own reader answers, for it knows nothing of the writer."""

from __future__ import annotations

from pathlib import Path

from convert.errors import ArtifactError
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import check


def intact(bundle: Path) -> None:
    """Holds every file of a bundle folder to its manifest, and the manifest to its own digest.

    Raises:
        ArtifactError: one is changed, missing or not listed; it is named.
    """
    try:
        check(bundle)
    except InputError as error:
        raise ArtifactError(f"verify {bundle}", str(error), "Take a fresh copy, or build the bundle again") from error
