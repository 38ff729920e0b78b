"""All families together: what a conversation of training looks like, the exam, and the tokenizer they share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.demo.train.almanac import Almanac, FollowUps
from convert.demo.train.backwards import Backwards
from convert.demo.train.chat import Chat
from convert.demo.train.questions import Exam, Family, Turn
from convert.demo.train.sums import Sums
from convert.demo.train.units import Units
from convert.demo.writing import tokenizer

IGNORED = -100
# How often each family is drawn, and how many questions of it the exam asks.
DRAWN = {"almanac": 0.40, "sums": 0.25, "units": 0.10, "backwards": 0.18, "chat": 0.07}
EXAMS = {"almanac": 200, "sums": 160, "units": 80, "backwards": 100, "follow-up": 60}
EXAM_SEED = 20
# Tokens of a training row: some four short turns, and more than the sliding window.
ROW, TURNS = 96, 3
USER, MODEL, END = "<|turn>user\n", "<|turn>model\n", "<turn|>\n"


@dataclass(frozen=True)
class Batch:
    """Conversations of one length: ids and targets ``int64 [rows, tokens]``.

    A target is the next token where the model answers (the token that ends its turn included), ``IGNORED`` elsewhere.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]


class Curriculum:
    """Draws batches and writes the exam."""

    def __init__(self, vocab: int) -> None:
        almanac = Almanac()
        self.vocab = vocab
        self.drawn: dict[str, Family] = {
            "almanac": almanac,
            "sums": Sums(),
            "units": Units(),
            "backwards": Backwards(),
            "chat": Chat(),
        }
        self.follow_ups = FollowUps(almanac)

    @cached_property
    def pieces(self) -> tokenizer.Pieces:
        """The vocabulary, learned from the families' words."""
        texts = [text for family in self.drawn.values() for text in family.words()]
        corpus = ["user\n", "model\n", "system\n"] * 1000
        for text in texts:
            # A word with its space; the letters and the hyphens only, so that digits and quotes stay single.
            corpus += re.findall(r"▁?[A-Za-z-]+", text.replace(" ", "▁").replace("{}", "0"))
        return tokenizer.learn(self.vocab, corpus, from_its_beginning)

    @cached_property
    def encoder(self) -> Any:
        """The ``tokenizers`` object of these pieces."""
        import json

        from tokenizers import Tokenizer

        return Tokenizer.from_str(json.dumps(tokenizer.tokenizer_json(self.pieces)))

    def conversation(self, random: np.random.Generator, turns: int) -> list[Turn]:
        """At least one turn, about ``turns`` of them."""
        names, weights = list(DRAWN), np.array(list(DRAWN.values()))
        out: list[Turn] = []
        while len(out) < turns:
            out += self.drawn[names[int(random.choice(len(names), p=weights / weights.sum()))]].draw(random)
        return out

    def batch(self, random: np.random.Generator, rows: int) -> Batch:
        """Conversations of ``ROW`` tokens without padding: the last turn of each is cut where the row ends."""
        ids = np.zeros((rows, ROW), np.int64)
        targets = np.full((rows, ROW), IGNORED, np.int64)
        for row in range(rows):
            tokens, said = self.encode(self.conversation(random, TURNS))
            while len(tokens) <= ROW:
                more, also = self.encode(self.conversation(random, 1))
                tokens, said = np.concatenate([tokens, more[1:]]), np.concatenate([said, also[1:]])
            ids[row] = tokens[:ROW]
            targets[row] = np.where(said[1 : ROW + 1], tokens[1 : ROW + 1], IGNORED)
        return Batch(ids, targets)

    def encode(self, turns: Sequence[Turn]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Token ids of a conversation as the chat template writes it, and which of them the model has to say."""
        text, spans = "", []
        for turn in turns:
            text += USER + turn.question + END + MODEL
            spans.append((len(text), len(text) + len(turn.answer) + len(END) - 1))
            text += turn.answer + END
        found = self.encoder.encode(text)  # puts the start token in front
        said = np.zeros(len(found.ids), np.bool_)
        for i, (start, stop) in enumerate(found.offsets):
            said[i] = any(begin <= start and stop <= end and stop > start for begin, end in spans)
        return np.array(found.ids, np.int64), said

    def exam(self) -> list[Exam]:
        """The held-out questions of the exam, in a fixed order."""
        out = []
        for name, family in {**self.drawn, "follow-up": self.follow_ups}.items():
            found = family.exams()
            chosen = np.random.default_rng([EXAM_SEED, len(found)]).permutation(len(found))[: EXAMS.get(name, 0)]
            out += [found[i] for i in sorted(chosen)]
        return out


def from_its_beginning(left: str, right: str) -> bool:
    """Whether two pieces may be merged: words grow from their space, capital or hyphen, roles from their line break.

    So the inside of a word that the tokenizer does not know stays letters, which is what spelling needs.
    """
    return left[0] in "▁-" or left[0].isupper() or right.endswith("\n")
