"""Rung 0 for Core ML, fourth part: the generation_config.json beside the package, which the app reads."""

from __future__ import annotations

from typing import Any

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.errors import InputError
from runtime_tests.readers.objects import read_object
from runtime_tests.results import Check, none, stated

NAME = "generation_config.json"
_SAMPLER = ("top_k", "top_p", "temperature")


def compare_companions(case: CoremlCase) -> list[Check]:
    """Every stop token must be named there, for the app knows no other file, and all else is what the checkpoint says.

    Nothing to check beside a bare package.
    """
    path = case.package.path.parent / NAME
    if not path.exists():
        return []
    try:
        content = read_object(path)
        listed = content["eos_token_id"]
        named = set(listed if isinstance(listed, list) else [listed]) - {None}
    except (InputError, KeyError, TypeError) as error:
        return [none("stop tokens for the app", [f"{NAME} cannot be read: {error!r}"], "differences", len(case.stops))]
    wrong = [
        f"{token} is missing, which {' and '.join(case.named_stops.named[token])} names"
        for token in case.stops
        if token not in named
    ]
    wrong += [f"{token!r} is named by no file of the checkpoint" for token in sorted(named - set(case.stops), key=str)]
    return [none("stop tokens for the app", wrong, "differences", len(case.stops)), *_rest(case, content)]


def _rest(case: CoremlCase, content: dict[str, Any]) -> list[Check]:
    """How tokens are drawn: what the checkpoint says must stand there; what it leaves out may be chosen, and is stated.

    A file that does not sample says so to the app as it says it to transformers: no ``do_sample`` is none.
    """
    given = {key: value for key, value in case.folder.optional_json(NAME).items() if value is not None}
    found = {key: value for key, value in content.items() if value is not None}
    for one in (given, found):
        one.pop("eos_token_id", None)
    wrong = [
        f"{key} is {found.get(key)!r}, expected {value!r}" for key, value in given.items() if found.get(key) != value
    ]
    chosen = {key: value for key, value in found.items() if key not in given}
    wrong += [f"{key} is {value!r}, which no file gives" for key, value in chosen.items() if key not in _SAMPLER]
    wrong += ["a sampler for a checkpoint that does not sample"] if chosen and not given.get("do_sample") else []
    said = "; ".join(f"{key} {value}" for key, value in chosen.items())
    return [
        none("generation settings for the app", wrong, "differences", len(given)),
        stated("settings that no file of the checkpoint gives", len(chosen), "settings", said),
    ]
