"""The files beside a model that an app reads for itself, held to the checkpoint: settings, tokenizer, template."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from runtime_tests.errors import InputError
from runtime_tests.questions.stops import Stops
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.readers.objects import read_object
from runtime_tests.readers.regular import read_regular
from runtime_tests.results import Check, none, stated

NAME, TOKENIZER, TEMPLATE = "generation_config.json", "tokenizer.json", "chat_template.jinja"
_SAMPLER = ("top_k", "top_p", "temperature")


class Judged(Protocol):
    """What is asked of a ``Case``, which itself knows the questions."""

    @property
    def folder(self) -> Folder: ...
    @property
    def template(self) -> str: ...
    @property
    def stops(self) -> list[int]: ...
    @property
    def named_stops(self) -> Stops: ...


def compare_companions(case: Judged, folder: Path) -> list[Check]:
    """Every stop token must be named there, for the app knows no other file, and all else is what the checkpoint says.

    Nothing to check beside a bare model.
    """
    path = folder / NAME
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


def _rest(case: Judged, content: dict[str, Any]) -> list[Check]:
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


def compare_copies(case: Judged, folder: Path) -> list[Check]:
    """Tokenizer and chat template must be the checkpoint's own, for the app has no others.

    Nothing to check beside a bare model, nor of a template that transformers does not find in the checkpoint.
    """
    tokenizer, template = (folder / name for name in (TOKENIZER, TEMPLATE))
    own, found, wrong = case.folder.path / TOKENIZER, 0, list[str]()
    if tokenizer.is_file():
        found += 1
        if not own.is_file() or read_regular(tokenizer) != read_regular(own):
            wrong.append(f"{TOKENIZER} is not the checkpoint's")
    if template.is_file() and case.template:
        found += 1
        if _lines(read_regular(template).decode("utf-8", "replace")) != _lines(case.template):
            wrong.append(f"{TEMPLATE} is not the checkpoint's")
    return [none("tokenizer and chat template for the app", wrong, "differences", found)] if found else []


def _lines(text: str) -> list[str]:
    """transformers reads text with any ends of lines."""
    return text.removeprefix("\ufeff").splitlines()
