"""Which of the judge's prompts and conversations an artifact's context has room for."""

from __future__ import annotations

from collections.abc import Mapping

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.prompts import CHAT_STEPS, CHATS, GREEDY_STEPS, PROMPTS
from runtime_tests.results import Check, stated

Chat = tuple[Mapping[str, str], ...]


def prompts(case: Case) -> tuple[str, ...]:
    """The general prompts that fit with the tokens that follow them, in order.

    Raises:
        CannotRunError: none does.
    """
    found = tuple(text for text in PROMPTS if _fits(case, text, GREEDY_STEPS))
    if not found:
        raise CannotRunError(f"none of the {len(PROMPTS)} prompts fits a context of {case.context} tokens")
    return found


def chats(case: Case) -> tuple[tuple[dict[str, str], ...], ...]:
    """The conversations that fit with their reply, in order.

    Raises:
        CannotRunError: none does.
    """
    found = tuple(chat for chat in CHATS if _fits(case, case.render(chat), CHAT_STEPS))
    if not found:
        raise CannotRunError(f"none of the {len(CHATS)} conversations fits a context of {case.context} tokens")
    return found


def left_out(case: Case) -> list[Check]:
    """A line for each kind of which some do not fit; none where all do."""
    where = f"a context of {case.context} has no room for them"
    counts = {
        "prompts left out": len(PROMPTS) - len(prompts(case)),
        "conversations left out": len(CHATS) - len(chats(case)),
    }
    return [stated(name, count, name.split()[0], where) for name, count in counts.items() if count]


def _fits(case: Case, text: str, steps: int) -> bool:
    """The start token, the text and the reply; the engine decodes up to the last position."""
    return 1 + len(case.tokenize(text)) + steps <= case.context
