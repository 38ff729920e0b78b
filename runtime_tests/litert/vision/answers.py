"""Rung 3, part of images: what the stock engine says about an image, token by token.

The images have a size that neither side resizes. The engine multiplies a pixel by a float32 1/255 where transformers
divides, which may differ in the last bit; both sides of each comparison are given the engine's patches. Its text is
held to what the same file says in the bare interpreter, and those tokens to the reference's first choices, up to the
first near-tie of the reference.

The engine gives the token behind an image no per-layer row of its own; nothing in a file can change that. So the
reference that is asked does the same, and how far the model as it was trained is from that is stated. So is what the
engine's own way of resizing changes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.runners.engine import Request, ask
from runtime_tests.litert.runners.interpreter import Session, lookup
from runtime_tests.litert.vision.budgets import budgets, of_any_maker
from runtime_tests.litert.vision.encoded import encode, end_row
from runtime_tests.measures import metrics
from runtime_tests.progress import walk
from runtime_tests.questions.images import FEWER, QUESTIONS, STEPS, Message, Question
from runtime_tests.reference.model import Floats, Ids
from runtime_tests.reference.vision.patches import Patches, make
from runtime_tests.reference.vision.pictures import drawn
from runtime_tests.reference.vision.whole import Whole, per_layer_ids
from runtime_tests.results import Check, none, stated

DRAWS = 4


@dataclass(frozen=True)
class Talk:
    """A question as tokens, and what the file answers in the interpreter.

    Attributes:
        ids: the conversation up to the answer, a token for each row of an image.
        images: in order of appearance.
        new: the answer, a stop token included.
    """

    question: Question
    ids: Ids
    images: tuple[Patches, ...]
    new: Ids


def compare_answers(case: LitertCase) -> list[Check]:
    """Images before and after a text, two of them, one in a later turn."""
    return of_any_maker(case, "answers", _compare)


def _compare(case: LitertCase) -> list[Check]:
    whole, rows = Whole(case.folder.path, case.reference, case.tower), budgets(case)[-1]
    pictures = {name: drawn(seed, *_unresized(case, rows)) for seed, name in ((11, "one"), (12, "other"))}
    patches = {name: _cut(make(name, picture, rows, case.tower.sizes)) for name, picture in pictures.items()}
    asked = [(item, _ids(case, whole, item, patches)) for item in (FEWER if case.large else QUESTIONS)]
    fitting = [(item, ids) for item, ids in asked if len(ids) + STEPS <= case.context]
    if not fitting:
        raise CannotRunError(f"a context of {case.context} has no room for an image of {rows} tokens and an answer")
    speaker = _Speaker(case, whole, rows)
    talks = [speaker.talk(item, ids, patches) for item, ids in walk("questions about images", fitting)]
    swapped = [speaker.talk(item, ids, {**patches, "one": patches["other"]}) for item, ids in fitting[:1]]
    case.release()
    checks = _against_reference(case, whole, talks)
    case.release()
    checks += _against_engine(case, talks, pictures, rows)
    other = sum(not np.array_equal(a.new, b.new) for a, b in zip(talks, swapped, strict=False))
    checks.append(stated("images: answers that another image changes", other, f"of {len(swapped)}"))
    if left := len(asked) - len(fitting):
        checks.append(
            stated("images: questions left out", left, "questions", f"a context of {case.context} has no room")
        )
    return checks


def _unresized(case: LitertCase, rows: int) -> tuple[int, int]:
    """Width and height of an image that fills the budget, as nearly square as can be."""
    high = max(each for each in range(1, int(rows**0.5) + 1) if not rows % each)
    side = case.tower.sizes.patch * case.tower.sizes.kernel
    return rows // high * side, high * side


def _cut(patches: Patches) -> Patches:
    """The same pixels as the engine makes numbers of them."""
    return replace(patches, pixels=np.rint(patches.pixels * 255).astype(np.float32) * np.float32(1 / 255))


def _messages(item: Question, paths: dict[str, str] | None = None) -> list[Message]:
    """As a template takes them; with paths as the engine does."""

    def part(given: dict[str, str]) -> dict[str, str]:
        if given["type"] != "image":
            return given
        return {"type": "image"} if paths is None else {"type": "image", "path": paths[given["name"]]}

    return [
        {
            **message,
            "content": message["content"] if isinstance(message["content"], str) else [*map(part, message["content"])],
        }
        for message in item.messages
    ]


def _ids(case: LitertCase, whole: Whole, item: Question, patches: dict[str, Patches]) -> Ids:
    text = case.render(_messages(item))
    return whole.spread([case.start, *case.tokenize(text)], [patches[name] for name in item.images])


class _Speaker:
    """The file in the interpreter, fed as the engine feeds it."""

    def __init__(self, case: LitertCase, whole: Whole, rows: int) -> None:
        self._case, self._whole, self._budget = case, whole, rows
        self._end = end_row(case)
        self._rows: dict[str, Floats] = {}

    def talk(self, item: Question, ids: Ids, patches: dict[str, Patches]) -> Talk:
        """Greedy tokens after a question."""
        case, images = self._case, tuple(patches[name] for name in item.images)
        embeddings, per_layer = self._given(ids, images)
        session = Session(case.interpreter(DECODER), case.model(DECODER), case.large)
        for start in range(0, len(ids) - 1, session.longest):
            stop = min(start + session.longest, len(ids) - 1)
            session.prefill(embeddings[start:stop], None if per_layer is None else per_layer[start:stop])
        new: list[int] = []
        last = embeddings[-1:], None if per_layer is None else per_layer[-1:]
        while len(new) < STEPS and not (new and new[-1] in case.stops):
            new.append(int(session.decode(*last).argmax()))
            last = self._tables(np.array(new[-1:], np.int32))
        return Talk(item, ids, images, np.array(new, np.int32))

    def _given(self, ids: Ids, images: Sequence[Patches]) -> tuple[Floats, Floats | None]:
        """Embeddings ``[T, H]`` and per-layer rows, with the rows of the images in their places."""
        whole = self._whole
        embeddings, _ = self._tables(ids)
        _, per_layer = self._tables(per_layer_ids(ids, whole))
        embeddings = embeddings.copy()
        embeddings[ids == whole.image] = np.concatenate([self._seen(image) for image in images])
        embeddings[ids == whole.end] = self._end
        return embeddings, per_layer

    def _seen(self, image: Patches) -> Floats:
        if image.name not in self._rows:
            self._rows[image.name] = encode(self._case, image, self._budget).taken()[1]
        return self._rows[image.name]

    def _tables(self, ids: Ids) -> tuple[Floats, Floats | None]:
        case = self._case
        first = lookup(case.interpreter(EMBEDDER), case.model(EMBEDDER), ids)
        wide = case.dims.per_layer_width
        return first, lookup(case.interpreter(PER_LAYER), case.model(PER_LAYER), ids) if wide else None


def _against_reference(case: LitertCase, whole: Whole, talks: list[Talk]) -> list[Check]:
    parted: list[str] = []
    sure, total, trained, divergence = 0, 0, 0, 0.0
    for talk in walk("answers read by the reference", talks):
        ids, first = np.concatenate([talk.ids, talk.new[:-1]]).astype(np.int32), len(talk.ids) - 1
        own, plain, *draws = _read(case, whole, talk, ids, first)
        moved = np.max([np.abs(draw - plain).max(axis=-1) for draw in draws], axis=0)
        ties = metrics.near_ties(plain, np.maximum(moved, np.median(moved)))
        until = int(np.argmax(ties)) if ties.any() else len(ties)
        best = plain.argmax(axis=-1)
        wrong = np.flatnonzero(best[:until] != talk.new[:until])
        parted += [f"{talk.question.name}, step {i}: {talk.new[i]}, expected {best[i]}" for i in wrong[:1]]
        sure, total = sure + until, total + len(ties)
        trained += int(np.count_nonzero(own.argmax(axis=-1) != best))
        divergence = max(divergence, metrics.mean_kl(own, plain))
    checks = [stated("images: tokens certain enough to be compared", sure, f"tokens of {total}")]
    if sure:
        checks.append(none("images: not the reference's first choice before a near-tie", parted, "tokens", sure))
    told = "the engine gives the token behind an image no per-layer row of its own, transformers does"
    return [
        *checks,
        stated("images: first choices that this changes", trained, f"of {total}", told),
        stated("images: mean KL of this, worst question", divergence, "nats", told),
    ]


def _read(case: LitertCase, whole: Whole, talk: Talk, ids: Ids, first: int) -> list[Floats]:
    """Logits as the model was trained, as an engine asks it, and of the latter's disturbances.

    One pass for all, so that a large model's weights are unpacked once; and each draw takes a pass of the tower.
    """
    draws = (0, 0, *range(1, (1 if case.large else DRAWS) + 1))
    with whole.plain_ends(after=1):
        found = [*whole.together([ids] * len(draws), [talk.images] * len(draws), first, draws)]
    if not case.lattice_fault:  # the rounding of the stored weights counts like a draw
        with whole.plain_ends(), case.on_lattice():
            found.append(whole.logits(ids, talk.images, first))
    return found


def _against_engine(case: LitertCase, talks: list[Talk], pictures: dict[str, Any], rows: int) -> list[Check]:
    """The engine to the same questions, and to one with an image that it has to resize."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: str(Path(folder, f"{name}.png")) for name in (*pictures, "large")}
        large = pictures["one"].resize([3 * side + 5 for side in pictures["one"].size])
        for name, picture in (*pictures.items(), ("large", large)):
            picture.save(paths[name])
        chats = [_messages(talk.question, paths) for talk in talks]
        chats.append(_messages(talks[0].question, {**paths, talks[0].question.images[0]: paths["large"]}))
        words = tuple(tuple(int(token) for token in talk.new if int(token) not in case.stops) for talk in talks)
        most = max(len(talk.images) for talk in talks)
        request = Request(
            str(case.artifact.path), (), 1, words, tuple(map(tuple, chats)), STEPS, case.threads, images=most
        )
        case.release()
        try:
            answer = ask(request)
        except RuntimeError as error:
            return [none("images: the engine runs", [str(error)], "failures", 1)]
    pairs = list(zip(talks, answer.chats[: len(talks)], answer.expected, strict=True))
    strayed = [f"{talk.question.name}: {a[:24]!r}, expected {b[:24]!r}" for talk, a, b in pairs if a != b]
    counts = zip(talks, answer.chat_tokens[: len(talks)], strict=True)
    wanted = [(talk, found, len(talk.ids) + len(talk.new)) for talk, found in counts]
    more = [f"{talk.question.name}: {found}, expected {count}" for talk, found, count in wanted if found != count]
    same = answer.chats[-1] == answer.expected[0]
    note = f"{answer.chats[-1][:24]!r}, with an image of its size {answer.expected[0][:24]!r}"
    return [
        none("images: the engine answers every question", answer.failed, "questions", len(chats)),
        none("images: text differs from the same file in the interpreter", strayed, "questions", len(talks)),
        none("images: tokens in the cache after an answer", more, "questions", len(talks)),
        stated("images: answers that change where the engine resizes", int(not same), "of 1", note),
    ]
