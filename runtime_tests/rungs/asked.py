"""The questions of an evaluation as they are put: through the chat template, as tokens, each answer with a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.measures.statistics import Outcomes
from runtime_tests.questions.evaluation import USUAL_LENGTH, Evaluation, Question
from runtime_tests.questions.kept import key

# Beyond the longest answer: room for a stop token and for an answer that is spelled in shorter tokens.
SPARE_STEPS, MOST_STEPS = 8, 256


class Asked:
    """The questions that fit the artifact's context.

    Attributes:
        kept: their indices among all.
        left_out: how many do not fit.
        questions: those that do.
        texts: rendered by the template, without the start token.
        ids: their tokens, start token first.
        limits: tokens of each answer, at most.
    """

    def __init__(self, case: Case, evaluation: Evaluation) -> None:
        """Raises:
        InputError: the checkpoint's template refuses a question.
        CannotRunError: no question fits.
        """
        every = evaluation.questions
        texts = [_rendered(case, evaluation, item) for item in every]
        ids = [np.array([case.start, *case.tokenize(text)], np.int32) for text in texts]
        limits = list(_limits(case, every))
        self.kept = [i for i in range(len(every)) if len(ids[i]) + limits[i] <= case.context]
        self.left_out = len(every) - len(self.kept)
        if not self.kept:
            raise CannotRunError(f"none of the {len(every)} questions fits a context of {case.context} tokens")
        self.questions = [every[i] for i in self.kept]
        self.texts, self.ids = tuple(texts[i] for i in self.kept), [ids[i] for i in self.kept]
        self.limits = tuple(limits[i] for i in self.kept)

    def keys(self) -> list[str]:
        """A name for each question under which its answers are kept."""
        asked = zip(self.kept, self.texts, self.limits, strict=True)
        return [key(place, text, limit) for place, text, limit in asked]

    def right(self, texts: Sequence[str]) -> Outcomes:
        """Which answers are right."""
        return np.array([item.right(text) for text, item in zip(texts, self.questions, strict=True)], bool)


def _rendered(case: Case, evaluation: Evaluation, question: Question) -> str:
    try:
        return case.render([turn.model_dump() for turn in question.turns])
    except Exception as error:  # whatever a template raises
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        where = f"{evaluation.name}, {question.id}"
        raise InputError(f"{where}: the checkpoint's chat template refuses the conversation ({words})") from error


def _limits(case: Case, questions: Sequence[Question]) -> Iterator[int]:
    """Of each question what it says itself, what is usual for its kind, or the longest answer's length and a few."""
    spelled = [
        len(case.tokenize(text)) for item in questions if item.match not in USUAL_LENGTH for text in item.accepted
    ]
    longest = min(MOST_STEPS, max(spelled, default=0) + SPARE_STEPS)
    for item in questions:
        yield item.max_tokens or USUAL_LENGTH.get(item.match, longest)
