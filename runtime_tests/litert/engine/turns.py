"""Rung 3, first part: what the metadata says of the chat template, against what the template does in transformers.

An engine's Session knows no Jinja. It puts the user's prefix and suffix around a text, and the model's prefix after it.
"""

from __future__ import annotations

from typing import Any

from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.engine.template import difference, follows_calls, takes_tools, thinks
from runtime_tests.questions.conversations import model, system, user
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.fitting import refusal

QUESTION, REPLY, RULE = "Name one colour.", "Red.", "Answer in one word."


def compare_turns(case: LitertCase, found: Any) -> list[Check]:
    """The texts around turns, whether it thinks and takes tools. A file of another maker may leave both unsaid."""
    name, unsaid = "texts around turns (prompt_templates)", not found.HasField("prompt_templates")
    if unsaid and (case.foreign or not _are_affixes(case)):
        why = "" if case.foreign else ", for the template's turns are not texts with others around them"
        affixes = stated(name, 0, "texts", f"none: with this file a Session gives the model bare text{why}")
    else:
        affixes = none(
            name,
            ["missing: a Session would give the model bare text"] if unsaid else _affixes(case, found),
            "differences",
            3,
        )
    return [affixes, none("thinking and tools as the template has them", _abilities(case, found), "differences", 2)]


def _are_affixes(case: LitertCase) -> bool:
    """Whether the checkpoint's template puts a question, once, between others, and the model's prefix after it."""
    if refusal(case, (user(QUESTION),)):
        return False
    turn = case.render((user(QUESTION),), reply=False)
    return turn.count(QUESTION) == 1 and case.render((user(QUESTION),)).startswith(turn)


def _affixes(case: LitertCase, found: Any) -> list[str]:
    if words := refusal(case, (user(QUESTION),)):
        return [f"the checkpoint's template refuses a question: {words}"]
    told = found.prompt_templates
    ask = f"{told.user.prefix}{QUESTION}{told.user.suffix}"
    reply, rule = f"{told.model.prefix}{REPLY}{told.model.suffix}", f"{told.system.prefix}{RULE}{told.system.suffix}"
    cases = {
        "a question": ((user(QUESTION),), f"{ask}{told.model.prefix}"),
        "a second question": (
            (user(QUESTION), model(REPLY), user(QUESTION)),
            f"{ask}{reply}{ask}{told.model.prefix}",
        ),
    }
    if told.HasField("system"):  # the engine's Session does not use it; others may
        cases["a system text"] = ((system(RULE), user(QUESTION)), f"{rule}{ask}{told.model.prefix}")
    wrong = []
    for name, (messages, made) in cases.items():
        if not refusal(case, messages) and made != (expected := case.render(messages)):
            wrong.append(f"{name}: {difference(made, expected)}")
    return wrong


def _abilities(case: LitertCase, found: Any) -> list[str]:
    does = {"supports_thinking": thinks(case), "supports_function_calling": takes_tools(case)}
    wrong = []
    for name, can in does.items():
        told = bool(getattr(found, name))
        if told == can or (case.foreign and not found.HasField(name)):
            continue
        if name == "supports_function_calling" and not told and not follows_calls(case):
            continue  # the engine would refuse the answer
        wrong.append(f"{name} is {str(told).lower()}, the checkpoint's template {'does' if can else 'does not'}")
    return wrong
