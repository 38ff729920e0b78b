"""Rung 0 for Core ML, fourth part: the stops in the generation_config.json beside the package, which the app reads."""

from __future__ import annotations

import json

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.results import Check, none

NAME = "generation_config.json"


def compare_companions(case: CoremlCase) -> list[Check]:
    """Every stop token must be named there, for the app knows no other file. Nothing to check beside a bare package."""
    path = case.package.path.parent / NAME
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text("utf-8"))
        listed = content["eos_token_id"]
        named = set(listed if isinstance(listed, list) else [listed]) - {None}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [none("stop tokens for the app", [f"{NAME} cannot be read: {error!r}"], "differences", len(case.stops))]
    wrong = [
        f"{token} is missing, which {' and '.join(case.named_stops.named[token])} names"
        for token in case.stops
        if token not in named
    ]
    wrong += [f"{token!r} is named by no file of the checkpoint" for token in sorted(named - set(case.stops), key=str)]
    return [none("stop tokens for the app", wrong, "differences", len(case.stops))]
