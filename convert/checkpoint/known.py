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
        drafters: by ids of models, read or not, the drafter that is published for each.
    """

    usable: Mapping[str, str | None]
    unread: Mapping[str, str]
    drafters: Mapping[str, str]


def known() -> Known:
    """Reads ``known.json``, which lies beside this file."""
    text = importlib.resources.files("convert.checkpoint").joinpath("known.json").read_text(encoding="utf-8")
    return Known(**json.loads(text))


def suggest(model: str) -> tuple[str, ...]:
    """The usable ids nearest to a name, best first, at most two; all of them if none is near.

    Of drafters where the name is one's.
    """
    found, named = known(), "assistant" in model.lower()
    if model in found.unread:
        return (found.unread[model],)
    ids = tuple(found.drafters.values()) if named else tuple(found.usable)
    near = difflib.get_close_matches(model.lower(), [each.lower() for each in ids], n=2, cutoff=0.6)
    return tuple(each for low in near for each in ids if each.lower() == low) or ids


def published(model: str) -> bool:
    """Whether an id is one that can be used: of a model, or of a drafter."""
    found = known()
    return model in found.usable or model in found.drafters.values()
