"""Rung 4, part of images: right answers to a checkpoint's own questions about pictures, beside transformers'.

Both sides are given the same pixels: each picture as transformers' image processor resizes it. The artifact answers
first; the reference reads its answer in one pass, several questions at once, and goes on by itself where its own first
choice is another token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from runtime_tests.case import Case
from runtime_tests.errors import CannotRunError
from runtime_tests.measures.statistics import Outcomes, paired, wilson
from runtime_tests.progress import steps, walk
from runtime_tests.questions.pictured import Pictured
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.reference.vision.patches import Patches, Sizes, make
from runtime_tests.reference.vision.tower import Tower
from runtime_tests.reference.vision.whole import Whole
from runtime_tests.results import Check, at_least, at_most, stated

STEPS = 24  # tokens of an answer, at most
POINTS = 0.5
TOGETHER = 8  # sequences in a pass of the reference


@dataclass(frozen=True)
class Sight:
    """A question whose pictures are cut into patches for a budget of rows.

    Attributes:
        rows: that a picture becomes, at most.
    """

    question: Pictured
    rows: int
    sizes: Sizes

    @property
    def patches(self) -> tuple[Patches, ...]:
        """Of its pictures, in order; cut anew each time, for those of a small picture already take 2 MB."""
        question = self.question
        every = enumerate(question.pictures)
        return tuple(make(f"{question.id}/{number}", each, self.rows, self.sizes) for number, each in every)


class Asked:
    """The questions as both sides are asked them.

    Attributes:
        sights: those that are asked.
        ids: of each, start token first, with a token for each row of a picture.
        total: how many questions they are drawn from.
        steps: tokens of an answer, at most.
        whole: the reference with its tower.
    """

    def __init__(
        self, case: Case, tower: Tower, rows: int, questions: Sequence[Pictured], most: int | None = None
    ) -> None:
        """Args:
            rows: that a picture becomes, at most.
            most: questions to ask, about; None for all. Who asks for few of the others is asked few of these too.

        Raises:
            CannotRunError: the context has no room for a question and its answer.
        """
        limits = [most, None if case.evaluation is None else len(case.evaluation.questions)]
        some = drawn(questions, min(each for each in (*limits, len(questions)) if each is not None))
        self._case, self.total, self.steps = case, len(questions), STEPS
        self.whole = Whole(case.folder.path, case.reference, tower)
        self.sights = [Sight(question, rows, tower.sizes) for question in some]
        self.ids = [self._spelled(sight) for sight in walk("questions about pictures, cut", self.sights)]
        if (longest := max(map(len, self.ids)) + self.steps) > case.context:
            raise CannotRunError(
                f"a context of {case.context} has no room for a picture, its question and an answer: {longest} tokens"
            )

    def _spelled(self, sight: Sight) -> Ids:
        text = self._case.render([{"role": "user", "content": list(sight.question.content)}])
        return self.whole.spread([self._case.start, *self._case.tokenize(text)], sight.patches)

    def rows(self, encode: Callable[[Patches], Floats]) -> list[Floats]:
        """Of each question the rows of its pictures, float32 ``[n, H]``.

        Args:
            encode: an artifact's tower.

        Raises:
            CannotRunError: a picture becomes rows of another shape than transformers expects.
        """
        out, width = [], self._case.dims.hidden
        for sight in walk("questions about pictures, seen", self.sights):
            made = [(image, encode(image)) for image in sight.patches]
            for image, rows in made:
                if rows.shape != (image.rows, width):
                    raise CannotRunError(
                        f"picture {image.name} becomes {list(rows.shape)}, expected {[image.rows, width]}"
                    )
            out.append(np.concatenate([rows for _, rows in made]))
        return out

    def text(self, new: Iterable[int]) -> str:
        """What the reader sees of an answer: its tokens but the stop token."""
        return self._case.detokenize([int(token) for token in new if int(token) not in self._case.stops])

    def reference(self, drafts: Sequence[Iterable[int]]) -> list[str]:
        """transformers' greedy answers, read along an artifact's tokens."""
        every = [
            Reading(sight, ids, [int(token) for token in draft if int(token) not in self._case.stops][: self.steps - 1])
            for sight, ids, draft in zip(self.sights, self.ids, drafts, strict=True)
        ]
        with steps("questions about pictures, read by the reference", len(every)) as advance:
            going = every
            while going:
                for group in alike(going):
                    self._read(group)
                    advance(sum(each.ended for each in group))
                going = [each for each in going if not each.ended]
        return [self.text(each.new) for each in every]

    def _read(self, group: Sequence[Reading]) -> None:
        """One pass over sequences of one length."""
        starts = [len(each.ids) + len(each.new) - 1 for each in group]
        first, images = min(starts), [each.sight.patches for each in group]
        best = self.whole.together([each.sequence for each in group], images, first).argmax(axis=-1)
        for each, start, row in zip(group, starts, best.tolist(), strict=True):
            each.take(row[start - first :], self._case.stops, self.steps)

    def judge(self, reference: Sequence[str], said: Sequence[str], where: str) -> list[Check]:
        """The figures; see :func:`judge`."""
        return judge(self.sights, reference, said, where, self.total)


@dataclass
class Reading:
    """A question that the reference answers.

    Attributes:
        fed: tokens of a draft that are read behind the answer so far.
        new: the answer so far.
    """

    sight: Sight
    ids: Ids
    fed: list[int]
    new: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def sequence(self) -> Ids:
        """What the reference reads next."""
        return np.concatenate([self.ids, self.new, self.fed]).astype(np.int32)

    def take(self, best: Sequence[int], stops: Sequence[int], most: int) -> None:
        """Goes on by the first choices behind the answer so far and each fed token, until one is another than fed."""
        fed, self.fed = self.fed, []
        for place, token in enumerate(best):
            self.new.append(token)
            self.ended = token in stops or len(self.new) >= most
            if self.ended or place >= len(fed) or token != fed[place]:
                return


def alike(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """Those of one length, as many as go through the reference together."""
    lengths = defaultdict[int, list[Reading]](list)
    for each in readings:
        lengths[len(each.sequence)].append(each)
    for some in lengths.values():
        yield from (some[start : start + TOGETHER] for start in range(0, len(some), TOGETHER))


def drawn(questions: Sequence[Pictured], most: int) -> list[Pictured]:
    """About ``most`` of the questions, in their order: of each family every so manieth."""
    every, seen, out = -(-len(questions) // max(1, most)), defaultdict[str, int](int), list[Pictured]()
    for question in questions:
        if not seen[question.family] % every:
            out.append(question)
        seen[question.family] += 1
    return out


def judge(
    sights: Sequence[Sight], reference: Sequence[str], said: Sequence[str], where: str, total: int | None = None
) -> list[Check]:
    """Right answers of both sides, and how far apart they are.

    Args:
        reference, said: answers of transformers and of the artifact to the same pixels.
        where: what the artifact ran in.
        total: of the questions that those of ``sights`` are drawn from.
    """
    both = right(sights, reference), right(sights, said)
    beside, (low, high) = paired(*both), wilson(int(both[0].sum()), len(sights))
    families = sorted({sight.question.family for sight in sights})
    of_family = {name: np.array([sight.question.family == name for sight in sights]) for name in families}
    kinds = ", ".join(f"{name} {both[1][those].sum()} of {those.sum()}" for name, those in of_family.items())
    unequal = sum(a != b for a, b in zip(reference, said, strict=True))
    some = "" if total in (None, len(sights)) else f", evenly drawn from {total}"
    return [
        at_least("pictures: answered by the reference", both[0].sum(), 1, "questions", f"of {len(sights)}{some}"),
        stated("pictures: right in transformers", 100 * both[0].mean(), "%", f"{low:.1%} to {high:.1%}"),
        stated(f"pictures: right in {where}, same pixels", 100 * both[1].mean(), "%", kinds),
        at_most(
            "pictures: artifact away from the reference, same pixels",
            abs(beside.points),
            POINTS,
            "points",
            f"{beside.lost} lost, {beside.gained} gained, {unequal} answers differ",
        ),
    ]


def right(sights: Sequence[Sight], texts: Sequence[str]) -> Outcomes:
    """Which answers are right."""
    pairs = zip(sights, texts, strict=True)
    return np.array([text.strip() == sight.question.answer for sight, text in pairs], bool)
