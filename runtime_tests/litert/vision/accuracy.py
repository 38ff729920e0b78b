"""Rung 4, part of images: what the stock engine answers about a checkpoint's own pictures, beside transformers.

The engine is given each picture as transformers' image processor resizes it, and then leaves it as it is. What the
engine's own way of resizing costs is a line of its own, over the pictures that need it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.runners.engine import Request, ask
from runtime_tests.litert.vision.budgets import budgets, of_any_maker
from runtime_tests.measures.statistics import paired
from runtime_tests.questions.pictured import Pictured, read_pictured
from runtime_tests.reference.vision.patches import Patches, Sizes, make
from runtime_tests.results import Check, none, stated
from runtime_tests.rungs.images.accuracy import Asked, Sight, right


def compare_accuracy(case: LitertCase) -> list[Check]:
    """The checkpoint's questions about pictures; nothing where it has none or the file takes no images."""
    questions = read_pictured(case.folder.path) if case.holds_images else ()
    return of_any_maker(case, "answers about pictures", lambda case: _compare(case, questions)) if questions else []


def _compare(case: LitertCase, questions: Sequence[Pictured]) -> list[Check]:
    asked = Asked(case, case.tower, budgets(case)[-1], questions)
    sights = asked.sights
    case.release()
    try:
        same, own, failed = _engine(case, asked)
    except RuntimeError as error:
        return [none("pictures: the engine runs", [str(error)], "failures", 1)]
    reference = asked.reference([case.tokenize(text) for text in same])
    return [
        none("pictures: the engine answers every question", failed, "questions", len(sights)),
        *asked.judge(reference, same, "the stock engine"),
        *judge_resizing(sights, same, own),
    ]


def judge_resizing(sights: Sequence[Sight], same: Sequence[str], own: dict[int, str]) -> list[Check]:
    """What the engine's own resizing changes; nothing where no picture needs any.

    Args:
        same: its answers to the reference's pixels.
        own: by place among ``sights``, its answers to original pictures of another size.
    """
    if not own:
        return []
    some, before = [sights[i] for i in own], [same[i] for i in own]
    resized = paired(right(some, before), right(some, [*own.values()]))
    differ = sum(a != b for a, b in zip(before, own.values(), strict=True))
    note = f"of {len(own)} questions {resized.lost} lost, {resized.gained} gained, {differ} answers differ"
    return [stated("pictures: what the engine's own resizing changes", resized.points, "points", note)]


def shown(sight: Sight) -> tuple[Any, ...]:
    """A question's pictures as PIL images of the reference's pixels.

    Raises:
        CannotRunError: such a picture would be resized once more.
    """
    out = []
    for made in sight.patches:
        again = _whole_picture(made, sight.sizes)
        if not np.array_equal(make(made.name, again, sight.rows, sight.sizes).pixels, made.pixels):
            raise CannotRunError(f"{sight.question.id}: its resized picture {again.size} is resized again")
        out.append(again)
    return tuple(out)


def _whole_picture(patches: Patches, sizes: Sizes) -> Any:
    """The picture that patches were cut from."""
    from PIL import Image

    wide, high = (int(each) + 1 for each in patches.positions[: patches.count].max(axis=0))
    pixels = np.rint(patches.pixels[: patches.count] * 255).astype(np.uint8)
    cut = pixels.reshape(high, wide, sizes.patch, sizes.patch, 3).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(np.ascontiguousarray(cut.reshape(high * sizes.patch, wide * sizes.patch, 3)))


def _engine(case: LitertCase, asked: Asked) -> tuple[list[str], dict[int, str], list[str]]:
    """The engine's answers to the reference's pixels, by place to original pictures of another size, and what it gave
    up on.

    Raises:
        RuntimeError: the engine failed or crashed.
    """
    sights = asked.sights
    with tempfile.TemporaryDirectory() as folder:
        chats, places = [], []
        for number, sight in enumerate(sights):
            pictures = shown(sight)
            chats.append(_chat(sight, pictures, Path(folder, f"{number}")))
            if any(a.size != b.size for a, b in zip(pictures, sight.question.pictures, strict=True)):
                places.append(number)
        chats += [_chat(sights[i], sights[i].question.pictures, Path(folder, f"{i}-own")) for i in places]
        most = max(len(sight.question.pictures) for sight in sights)
        request = Request(str(case.artifact.path), (), 1, (), tuple(chats), asked.steps, case.threads, images=most)
        said = ask(request)
    same = said.chats[: len(sights)]
    return same, dict(zip(places, said.chats[len(sights) :], strict=True)), said.failed


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
