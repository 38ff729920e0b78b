"""LICENSE and NOTICE of a bundle: Apache-2.0, section 4, asks for the licence's text and a word about the changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convert.bundle.manifest import Licence
from convert.checkpoint.types import Source

APACHE = Path(__file__).parent / "licences" / "Apache-2.0.txt"

_CHANGES = """\
It was changed in form: tensors were repacked from the checkpoint's layout into {container}. manifest.json lists
the input files by SHA-256; parity.json says what was compared with them and with what result, what was run and where,
and what was not run and why.
"""
_GEMMA = "Gemma 4 is a model of Google LLC, published under the Apache License, Version 2.0.\n"
_UNSTATED = """\
The checkpoint came from a folder, and nobody has told this tool its licence. Gemma 4 itself is published by Google LLC
under the Apache License, Version 2.0; a derivative may carry further terms. Look before you distribute.
"""
_LEAST = ("nobody", "publisher", "project")


def licence(*sources: Source) -> Licence:
    """Who stated which licence: the project for its demo, Google for its own hub ids, nobody for anything else.

    Of several, what is known least of says it for all.
    """
    return min((_licence(source) for source in sources), key=lambda each: _LEAST.index(each.stated_by))


def _licence(source: Source) -> Licence:
    if source.id == "demo":
        return Licence(spdx="Apache-2.0", stated_by="project")
    if source.id.startswith("google/gemma-4-"):
        return Licence(spdx="Apache-2.0", stated_by="publisher")
    return Licence(spdx="NOASSERTION", stated_by="nobody")


def notice(sources: Sequence[Source], container: str) -> str:
    """The text of NOTICE; ``container`` says in what the tensors are now."""
    changes = _CHANGES.format(container=container)
    where = ", and its drafter from ".join(
        source.id if source.revision is None else f"{source.id}, revision {source.revision}" for source in sources
    )
    stated = licence(*sources).stated_by
    if stated == "project":
        first = "This bundle holds a small demo model in the shape of Gemma 4, trained from nothing by gemma-bridge.\n"
        return f"{first}It is no product of Google's. Apache License, Version 2.0.\n\n{changes}"
    body = _GEMMA if stated == "publisher" else _UNSTATED
    return f"This bundle holds a model converted by gemma-bridge from {where}.\n\n{body}\n{changes}"


def write(sources: Sequence[Source], folder: Path, container: str) -> None:
    """Writes LICENSE and NOTICE.

    Args:
        sources: of the model, and of its drafter.
    """
    (folder / "LICENSE").write_bytes(APACHE.read_bytes())
    (folder / "NOTICE").write_text(notice(sources, container), encoding="utf-8")
