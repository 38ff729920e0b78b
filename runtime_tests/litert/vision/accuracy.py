"""Rung 4, part of images: what the stock engine answers about a checkpoint's own pictures, beside transformers.

Both are given the same pixels: each picture as transformers' image processor resizes it, which the engine then leaves
as it is. What the engine's own way of resizing costs is a line of its own, over the pictures that need it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.runners.engine import Request, ask
from runtime_tests.litert.vision.budgets import budgets, of_any_maker
from runtime_tests.measures.statistics import paired, wilson
from runtime_tests.progress import walk
from runtime_tests.questions.pictured import Pictured, read_pictured
from runtime_tests.reference.model import Ids
from runtime_tests.reference.vision.patches import Patches, Sizes, make
from runtime_tests.reference.vision.whole import Whole
from runtime_tests.results import Check, at_least, at_most, none, stated

STEPS = 24  # tokens of an answer, at most
POINTS = 0.5


@dataclass(frozen=True)
class Sight:
    """A question, and its pictures as the reference sees them.

    Attributes:
        pictures: PIL images of the patches' pixels, which nobody resizes any more.
        resized: the original has another size.
    """

    question: Pictured
    patches: tuple[Patches, ...]
    pictures: tuple[Any, ...]
    resized: bool


def compare_accuracy(case: LitertCase) -> list[Check]:
    """The checkpoint's questions about pictures; nothing where it has none or the file takes no images."""
    questions = read_pictured(case.folder.path) if case.holds_images else ()
    if case.evaluation is not None:  # who asks for few questions is asked few of these too
        questions = questions[:: -(-len(questions) // len(case.evaluation.questions))] if questions else ()
    return of_any_maker(case, "answers about pictures", lambda case: _compare(case, questions)) if questions else []


def _compare(case: LitertCase, questions: Sequence[Pictured]) -> list[Check]:
    sizes, rows = case.tower.sizes, budgets(case)[-1]
    sights = [look(question, rows, sizes) for question in questions]
    whole = Whole(case.folder.path, case.reference, case.tower)
    asked = [_ids(case, whole, sight) for sight in sights]
    if max(map(len, asked)) + STEPS > case.context:
        raise CannotRunError(
            f"a context of {case.context} has no room for a picture, its question and an answer:"
            f" {max(map(len, asked)) + STEPS} tokens"
        )
    case.release()
    try:
        same, own, failed = _engine(case, sights)
    except RuntimeError as error:
        return [none("pictures: the engine runs", [str(error)], "failures", 1)]
    reference = [
        _answer(case, whole, sight, ids, text)
        for sight, ids, text in walk("questions about pictures", [*zip(sights, asked, same, strict=True)])
    ]
    return [
        none("pictures: the engine answers every question", failed, "questions", len(sights)),
        *judge(sights, reference, same, own),
    ]


def judge(sights: Sequence[Sight], reference: list[str], same: list[str], own: list[str]) -> list[Check]:
    """The figures.

    Args:
        reference, same: answers of transformers and of the engine to the same pixels.
        own: the engine's to the original pictures.
    """
    right = [_right(sights, texts) for texts in (reference, same, own)]
    beside = paired(right[0], right[1])
    low, high = wilson(int(right[0].sum()), len(sights))
    families = sorted({sight.question.family for sight in sights})
    of_family = {name: np.array([sight.question.family == name for sight in sights]) for name in families}
    kinds = ", ".join(f"{name} {right[1][those].sum()} of {those.sum()}" for name, those in of_family.items())
    others = [i for i, sight in enumerate(sights) if sight.resized]
    unequal = sum(a != b for a, b in zip(reference, same, strict=True))
    checks = [
        at_least("pictures: answered by the reference", right[0].sum(), 1, "questions", f"of {len(sights)}"),
        stated("pictures: right in transformers", 100 * right[0].mean(), "%", f"{low:.1%} to {high:.1%}"),
        stated("pictures: right in the stock engine, same pixels", 100 * right[1].mean(), "%", kinds),
        at_most(
            "pictures: engine away from the reference, same pixels",
            abs(beside.points),
            POINTS,
            "points",
            f"{beside.lost} lost, {beside.gained} gained, {unequal} answers differ",
        ),
    ]
    if others:
        resized = paired(right[1][others], right[2][others])
        differ = sum(same[i] != own[i] for i in others)
        checks.append(
            stated(
                "pictures: what the engine's own resizing changes",
                resized.points,
                "points",
                f"of {len(others)} questions {resized.lost} lost, {resized.gained} gained, {differ} answers differ",
            )
        )
    return checks


def look(question: Pictured, rows: int, sizes: Sizes) -> Sight:
    """A question with its pictures resized as transformers does.

    Raises:
        CannotRunError: the resized picture would be resized once more.
    """
    patches, pictures = [], []
    for number, picture in enumerate(question.pictures):
        made = make(f"{question.id}/{number}", picture, rows, sizes)
        again = _whole_picture(made, sizes)
        if not np.array_equal(make(made.name, again, rows, sizes).pixels, made.pixels):
            raise CannotRunError(f"{question.id}: its resized picture {again.size} is resized again")
        patches.append(made)
        pictures.append(again)
    resized = any(a.size != b.size for a, b in zip(pictures, question.pictures, strict=True))
    return Sight(question, tuple(patches), tuple(pictures), resized)


def _whole_picture(patches: Patches, sizes: Sizes) -> Any:
    """The picture that patches were cut from."""
    from PIL import Image

    wide, high = (int(each) + 1 for each in patches.positions[: patches.count].max(axis=0))
    pixels = np.rint(patches.pixels[: patches.count] * 255).astype(np.uint8)
    cut = pixels.reshape(high, wide, sizes.patch, sizes.patch, 3).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(np.ascontiguousarray(cut.reshape(high * sizes.patch, wide * sizes.patch, 3)))


def _right(sights: Sequence[Sight], texts: list[str]) -> Any:
    pairs = zip(sights, texts, strict=True)
    return np.array([text.strip() == sight.question.answer for sight, text in pairs], bool)


def _ids(case: LitertCase, whole: Whole, sight: Sight) -> Ids:
    text = case.render([{"role": "user", "content": list(sight.question.content)}])
    return whole.spread([case.start, *case.tokenize(text)], sight.patches)


def _engine(case: LitertCase, sights: Sequence[Sight]) -> tuple[list[str], list[str], list[str]]:
    """The engine's answers to the reference's pixels and to the original pictures, and what it gave up on.

    Raises:
        RuntimeError: the engine failed or crashed.
    """
    with tempfile.TemporaryDirectory() as folder:
        chats, places = [], []
        for number, sight in enumerate(sights):
            chats.append(_chat(sight, sight.pictures, Path(folder, f"{number}")))
            if sight.resized:
                places.append(number)
        chats += [_chat(sights[i], sights[i].question.pictures, Path(folder, f"{i}-own")) for i in places]
        most = max(len(sight.pictures) for sight in sights)
        request = Request(str(case.artifact.path), (), 1, (), tuple(chats), STEPS, case.threads, images=most)
        said = ask(request)
    same = said.chats[: len(sights)]
    own = list(same)
    for place, text in zip(places, said.chats[len(sights) :], strict=True):
        own[place] = text
    return same, own, said.failed


def _chat(sight: Sight, pictures: Sequence[Any], path: Path) -> tuple[dict[str, Any], ...]:
    left, content = list(enumerate(pictures)), list[dict[str, str]]()
    for part in sight.question.content:
        if part["type"] == "image":
            number, picture = left.pop(0)
            file = f"{path}-{number}.png"
            picture.save(file)
            content.append({"type": "image", "path": file})
        else:
            content.append(part)
    return ({"role": "user", "content": content},)


def _answer(case: LitertCase, whole: Whole, sight: Sight, ids: Ids, draft: str) -> str:
    """The reference's greedy answer; the engine's is read first, which costs one pass where both say the same."""
    fed = list(case.tokenize(draft))[: STEPS - 1]
    new: list[int] = []
    while True:
        sequence = np.concatenate([ids, new, fed]).astype(np.int32)
        best = whole.logits(sequence, sight.patches, len(ids) + len(new) - 1).argmax(axis=-1)
        for place, token in enumerate(best):
            new.append(int(token))
            if new[-1] in case.stops or len(new) >= STEPS:
                return case.detokenize([each for each in new if each not in case.stops])
            if place >= len(fed) or new[-1] != fed[place]:
                break
        fed = []
