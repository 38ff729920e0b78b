"""Changes of the files that lie beside a model, whichever target's: settings, tokenizer, template."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Change = Callable[[Any], None]  # of a patient, whose ``path`` is the model's


def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Change:
    """A JSON file beside the model with other content."""

    def apply(patient: Any) -> None:
        path = patient.path.parent / name
        content = json.loads(path.read_text("utf-8"))
        change(content)
        path.write_text(json.dumps(content), "utf-8")

    return apply


def stop_lost(content: dict[str, Any]) -> None:
    content["eos_token_id"] = content["eos_token_id"][:-1]


def stop_too_many(content: dict[str, Any]) -> None:
    content["eos_token_id"].append(300)


def merge_removed(content: dict[str, Any]) -> None:
    del content["model"]["merges"][7]


def template(old: str, new: str) -> Change:
    """The chat template with a text in another's place."""

    def apply(patient: Any) -> None:
        path = patient.path.parent / "chat_template.jinja"
        text = path.read_text("utf-8")
        assert old in text, f"the template has no {old!r}"
        path.write_text(text.replace(old, new), "utf-8")

    return apply
