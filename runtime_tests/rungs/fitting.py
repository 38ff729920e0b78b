"""Which of the judge's prompts and conversations an artifact's context and its checkpoint's template have room for."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.questions.conversations import Message
from runtime_tests.questions.prompts import CHAT, CHAT_STEPS, GREEDY_STEPS, LATER, PROMPTS
from runtime_tests.results import Check, stated

WORDS = 160  # characters shown of a refusal
Chat = tuple[dict[str, str], ...]


def prompts(case: Case) -> tuple[str, ...]:
    """The general prompts that fit with the tokens that follow them, in order.

    Raises:
        CannotRunError: none does.
    """
    found = tuple(text for text in PROMPTS if _fits(case, text, GREEDY_STEPS))
    if not found:
        raise CannotRunError(f"none of the {len(PROMPTS)} prompts fits a context of {case.context} tokens")
    return found


def chats(case: Case) -> tuple[Chat, ...]:
    """The chats that fit with their reply. The last is the first again: nothing of the one between may be left.

    Raises:
        InputError: the checkpoint's template refuses a single question.
        CannotRunError: none fits.
    """
    found = tuple(chat for chat in _known(case) if _fits(case, case.render(chat), CHAT_STEPS))
    if not found:
        raise CannotRunError(f"no conversation fits a context of {case.context} tokens")
    return found


def left_out(case: Case) -> list[Check]:
    """A line for each kind of which some do not fit; none where all do."""
    where = f"a context of {case.context} has no room for them"
    counts = {
        "prompts left out": len(PROMPTS) - len(prompts(case)),
        "conversations left out": len(_known(case)) - len(chats(case)),
    }
    return [stated(name, count, name.split()[0], where) for name, count in counts.items() if count]


def _known(case: Case) -> tuple[Chat, Chat, Chat]:
    if words := refusal(case, CHAT):
        raise InputError(f"{case.folder.path}: the chat template refuses a question: {words}")
    later = next((chat for chat in (LATER, LATER[1:]) if not refusal(case, chat)), CHAT)  # some know no system text
    return CHAT, later, CHAT


def _fits(case: Case, text: str, steps: int) -> bool:
    """The start token, the text and the reply; the engine decodes up to the last position."""
    return 1 + len(case.tokenize(text)) + steps <= case.context


def refusal(case: Case, messages: Sequence[Message]) -> str:
    """Why the checkpoint's template does not render a conversation in transformers; empty when it does."""
    try:
        case.render(messages)
    except Exception as error:  # a template may raise anything
        return reason(error)
    return ""


def reason(error: Exception) -> str:
    """What an exception says, in one line."""
    words = " ".join(str(error).split()) or "no reason"
    return f"{words[:WORDS]}{'…' if len(words) > WORDS else ''} ({type(error).__name__})"
