"""Changes of the files that lie beside a model, whichever target's: settings, tokenizer, template."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.mutants.mutant import Mutant

Change = Callable[[Any], None]  # of a patient, whose ``path`` is the model's


def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Change:
    """A JSON file beside the model with other content."""

    def apply(patient: Any) -> None:
        path = patient.path.parent / name
        content = json.loads(path.read_text("utf-8"))
        change(content)
        path.write_text(json.dumps(content), "utf-8")

    return apply


def _stop_lost(content: dict[str, Any]) -> None:
    content["eos_token_id"] = content["eos_token_id"][:-1]


def _stop_too_many(content: dict[str, Any]) -> None:
    content["eos_token_id"].append(300)


def _merge_removed(content: dict[str, Any]) -> None:
    del content["model"]["merges"][7]


def _template(old: str, new: str) -> Change:
    """The chat template with a text in another's place."""

    def apply(patient: Any) -> None:
        path = patient.path.parent / "chat_template.jinja"
        text = path.read_text("utf-8")
        assert old in text, f"the template has no {old!r}"
        path.write_text(text.replace(old, new), "utf-8")

    return apply


def mutants(make: Callable[[str, str, Change], Mutant]) -> tuple[Mutant, ...]:
    """The faults of these files; ``make`` is given name, fault in words, and change."""
    settings = "generation_config.json"
    return (
        make("stop_lost", "the app is not told of a stop token", edited(settings, _stop_lost)),
        make("stop_too_many", "an ordinary token stops the app", edited(settings, _stop_too_many)),
        make("another_temperature", "another temperature", edited(settings, lambda c: c.update(temperature=0.1))),
        make("never_samples", "the app takes the best token", edited(settings, lambda c: c.update(do_sample=False))),
        make("merge_removed", "the tokenizer lacks one merge", edited("tokenizer.json", _merge_removed)),
        make("template_role", "the user is called human", _template("message['role']", "'human'")),
        make("template_turn_not_closed", "turns are not closed", _template("<turn|>", "")),
    )
