"""The rung of ``--arm64``: does the same file do on an arm64 processor what it does here?

Blocks on the reference's inputs, a short forced decode, and the stock engine's greedy text, all emulated.
"""

from __future__ import annotations

from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.rungs.second import agreement, record
from runtime_tests.litert.runners.arm64 import arm64
from runtime_tests.litert.runners.engine import Answer, Request, ask
from runtime_tests.questions.prompts import GREEDY_STEPS
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs import fitting
from runtime_tests.rungs.continuations import continuations

ASKED, STEPS = 4, 8


def climb(case: LitertCase) -> list[Check]:
    """Compares interpreter and engine with this machine's.

    Raises:
        CannotRunError: arm64 cannot be emulated here.
    """
    process = arm64()
    checks = agreement(case, record(case, STEPS), process)
    sure = [[int(t) for t in item.new[: item.sure] if int(t) not in case.stops] for item in continuations(case)[:ASKED]]
    request = Request(
        str(case.artifact.path),
        fitting.prompts(case)[:ASKED],
        GREEDY_STEPS,
        tuple(map(tuple, sure)),
        (),
        0,
        case.threads,
    )
    try:
        here, there = ask(request), ask(request, process.command, process.env)
    except RuntimeError as error:
        return [*checks, none("the engine runs on arm64", [str(error)], "failures", 1)]
    return [*checks, *_texts(here, there, sum(map(len, sure)))]


def _texts(here: Answer, there: Answer, sure: int) -> list[Check]:
    strayed = [
        f"prompt {i}: {text[:24]!r}, expected {known[:24]!r}"
        for i, (text, known) in enumerate(zip(there.texts, here.expected, strict=True))
        if not text.startswith(known.rstrip("\ufffd"))
    ]
    other = [i for i, (a, b) in enumerate(zip(here.texts, there.texts, strict=True)) if a != b]
    tokens = [f"prompt {i}" for i, (a, b) in enumerate(zip(here.tokens, there.tokens, strict=True)) if a != b]
    note = f"other texts: {', '.join(f'prompt {i}' for i in other)}" if other else ""
    return [
        none("arm64 engine: answers every prompt", there.failed, "prompts", len(there.texts)),
        none("arm64 engine: prompts tokenized otherwise than here", tokens, "prompts", len(here.tokens)),
        none("arm64 engine: text differs before a near-tie", strayed, "prompts", sure),
        stated("arm64 engine: texts equal to this machine's, whole", len(here.texts) - len(other), "prompts", note),
    ]
