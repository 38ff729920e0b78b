"""Published checkpoints: which are read, and which of them to suggest for a name."""

from __future__ import annotations

import difflib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """Published checkpoints.

    Attributes:
        usable: ids in a format that is read, each with the commit taken when no revision is given (None: the latest).
        unread: ids in other formats, each with the usable one that holds the same model.
    """

    usable: Mapping[str, str | None]
    unread: Mapping[str, str]


def known() -> Known:
    """Reads ``known.json``, which lies beside this file."""
    text = importlib.resources.files("convert.checkpoint").joinpath("known.json").read_text(encoding="utf-8")
    return Known(**json.loads(text))


def suggest(model: str) -> tuple[str, ...]:
    """The usable ids nearest to a name, best first, at most two; all of them if none is near."""
    ids = known()
    if model in ids.unread:
        return (ids.unread[model],)
    near = difflib.get_close_matches(model.lower(), [each.lower() for each in ids.usable], n=2, cutoff=0.6)
    return tuple(each for low in near for each in ids.usable if each.lower() == low) or tuple(ids.usable)
