"""A tokenizer of the published kind and size: 262,144 entries, byte fallback, half a million merges.

Nothing of Google's vocabulary is in it. The first pieces are those that the small tokenizer learns; the others are
drawn, by a seed, from the letters of many scripts, Chinese characters and emoji. What is the same is what loading and
encoding depend on: the number of entries, their kinds and places (special tokens first, then line breaks and blanks,
bytes, merged pieces, single characters, media tokens, unused ones), and that every way to split a piece into two
pieces is a merge, ranked by the piece.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convert.demo.writing import tokenizer
from convert.demo.writing.tokenizer import FIRST_FREE, MEDIA, NAMED, Pieces
from tests.support.checkpoints.corpus import words

SIZE = 262_144
_BREAKS, _BLANKS, _FIRST_BYTE = 31, 31, 238
_FIRST_MERGED, _FIRST_MEDIA = _FIRST_BYTE + 256, min(MEDIA.values())
_LONGEST = 12
_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "So", "Sc", "Po", "Ps", "Pe"})


@dataclass(frozen=True)
class _Script:
    """Attributes:
    ranges: first and last code point.
    share: of the merged pieces, in parts of the sum of all.
    words: its text has blanks between words.
    """

    ranges: tuple[tuple[int, int], ...]
    share: int
    words: bool = True

    def letters(self) -> list[str]:
        points = (chr(point) for first, last in self.ranges for point in range(first, last + 1))
        return [letter for letter in points if unicodedata.category(letter) in _LETTERS]


_SCRIPTS = (
    _Script(((0x61, 0x7A), (0x41, 0x5A)), 90),
    _Script(((0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)), 60),
    _Script(((0x370, 0x3FF),), 6),
    _Script(((0x400, 0x4FF),), 30),
    _Script(((0x530, 0x5FF),), 6),
    _Script(((0x600, 0x6FF),), 16),
    _Script(((0x900, 0x97F),), 10),
    _Script(((0x980, 0xD7F),), 12),
    _Script(((0xE00, 0xE7F),), 6, words=False),
    _Script(((0x10A0, 0x10FF),), 3),
    _Script(((0x3041, 0x30FF),), 8, words=False),
    _Script(((0x4E00, 0x9FA5),), 30, words=False),
    _Script(((0xAC00, 0xD7A3),), 12),
    _Script(((0x30, 0x39), (0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF)), 4),
    _Script(((0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF), (0x2600, 0x27BF)), 2, words=False),
)


def pieces(seed: int = 0) -> Pieces:
    """The vocabulary. Same seed, same pieces."""
    learned = tokenizer.learn(2000, words())
    letters = dict.fromkeys(p for p in _text(learned) if len(p) == 1)
    letters.update(dict.fromkeys(letter for script in _SCRIPTS for letter in script.letters()))
    runs = {"\n" * (i + 1): None for i in range(_BREAKS)} | {"▁" * (i + 1): None for i in range(1, _BLANKS)}
    singles = [letter for letter in letters if letter not in runs]
    merged = dict.fromkeys(p for p in _text(learned) if len(p) > 1 and p not in runs)
    _draw(merged, _FIRST_MEDIA - _FIRST_MERGED - len(singles), seed)
    special = dict(NAMED.values())
    found = [special.get(i, f"<unused{i}>") for i in range(FIRST_FREE)]
    found += runs
    found += [f"<unused{i}>" for i in range(len(found), _FIRST_BYTE)]
    found += [f"<0x{byte:02X}>" for byte in range(256)]
    found += [*merged, *singles]
    media = {i: token for token, i in MEDIA.items()}
    found += [media.get(i, f"<unused{i}>") for i in range(len(found), SIZE)]
    ordinary = [*runs, *merged]
    text = frozenset(i for i, piece in enumerate(found) if piece in letters or piece in merged or piece in runs)
    return Pieces(tuple(found), tuple(tokenizer.splits(ordinary, {*ordinary, *singles})), text | tokenizer.STOPS)


def _text(learned: Pieces) -> Iterator[str]:
    return (learned.pieces[i] for i in sorted(learned.spoken - tokenizer.STOPS))


def _draw(merged: dict[str, None], count: int, seed: int) -> None:
    """Adds pieces until there are ``count``: each is two earlier ones, or an earlier one at the begin of a word."""
    total, missing = sum(script.share for script in _SCRIPTS), count - len(merged)
    for number, script in enumerate(_SCRIPTS):
        last = number == len(_SCRIPTS) - 1
        wanted = count - len(merged) if last else missing * script.share // total
        _draw_script(merged, script, wanted, np.random.default_rng([seed, number]))


def _draw_script(merged: dict[str, None], script: _Script, wanted: int, generator: np.random.Generator) -> None:
    known = script.letters()
    while wanted:
        # Early pieces are frequent ones, so they take part more often.
        draws = generator.random((wanted, 3))
        picks = (draws[:, :2] ** 2).tolist()
        for (first, second), kind in zip(picks, draws[:, 2].tolist(), strict=True):
            right = known[int(second * len(known))]
            left = "▁" if script.words and kind < 0.3 else known[int(first * len(known))]
            if right[0] == "▁" or len(left) + len(right) > _LONGEST:
                continue
            # Words come with their beginnings, so that most have several ways to be split, as real ones do.
            for end in range(1, len(right) + 1):
                piece = left + right[:end]
                if wanted and piece not in merged:
                    merged[piece] = None
                    known.append(piece)
                    wanted -= 1
