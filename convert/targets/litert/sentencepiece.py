"""A tokenizer.json as a SentencePiece model, where the two provably give the same tokens.

The engine reads both forms. Of one with 262,144 pieces it loads SentencePiece in a fraction of the time and memory
(``just bench tokenizer``), and published tokenizers were made from SentencePiece models in the first place.

Why the tokens are the same. Both split the text at the added tokens, the leftmost and longest first; both turn blanks
into ``▁``; both then join the best pair of neighbours until there is none, and spell characters that are no piece by
their bytes. The library takes the pair of the lowest merge and the leftmost of those; SentencePiece the pair whose
joined piece has the highest score, and the leftmost of those. Take a span of text, the piece P, in which two symbols
are left. Whatever stands around it, the joins inside were those of P alone, in the same order, because each was the
best everywhere and so the best inside. So the two symbols are always the same two, and P is made by one of its merges
only. Hence both take the same pair at every step, if

- all merges that make a piece lie together in the list, so that pieces have an order: their scores;
- every two pieces that make a piece when joined are a merge;
- every character of a piece is a piece: else one of the two would spell it by bytes before it can be joined.

A piece in which an added token stands is never made by either. ``model`` checks these and the settings around them.
One text differs: where somebody writes the name of the unknown token, ``<unk>``, the library gives that token, and
SentencePiece spells the name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

_NORMALIZER = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
# Nothing is left to split: the normalizer leaves no blank.
_SPLITTER = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ],
}
_BPE = {
    "type": ("BPE",),
    "dropout": (None,),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (True,),
    "ignore_merges": (False, None),
}
_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))
_EXACT = 1 << 24  # float32 scores tell as many pieces apart
_NORMAL, _UNKNOWN, _USER_DEFINED, _BYTE = 1, 2, 4, 6


@dataclass(frozen=True)
class _Added:
    """Tokens that are found in the text before anything else, by id, and the characters they begin with."""

    ids: Mapping[str, int]
    firsts: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return name in self.ids


class DifferentError(Exception):
    """Why a SentencePiece model would not give the same tokens."""


def read(content: bytes) -> bytes:
    """The SentencePiece model of a tokenizer.json's bytes; see ``model``.

    Raises:
        DifferentError: as ``model``, or it is no JSON object, or names something twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise DifferentError("it names something twice")
        return found

    try:
        parsed = json.loads(content, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise DifferentError(f"it is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise DifferentError("it is no JSON object")
    return model(parsed)


def model(content: Mapping[str, Any]) -> bytes:
    """The SentencePiece model of a parsed tokenizer.json: a serialized ``ModelProto``.

    Raises:
        DifferentError: it is not certain that both give the same tokens; the message says why.
    """
    try:
        return _model(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DifferentError(f"it is laid out otherwise ({error})") from error


def _model(content: Mapping[str, Any]) -> bytes:
    bpe = content["model"]
    _check_settings(content, bpe)
    added = _added(content["added_tokens"], bpe["unk_token"])
    vocabulary: dict[str, int] = {**bpe["vocab"], **added.ids}
    merges = [_pair(merge) for merge in bpe["merges"]]
    if len(set(merges)) != len(merges):
        raise DifferentError("it has a merge twice")
    names = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[name] for name in names] != list(range(len(names))) or len(names) >= _EXACT:
        raise DifferentError("its ids are not 0, 1, 2 and so on, each once")
    ordinary = _ordinary(names, added)
    order = _order(merges, ordinary, added)
    _check_complete(len(merges) - sum(_has(left + right, added) for left, right in merges), ordinary)
    pieces = []
    for name in names:
        if name == bpe["unk_token"]:
            pieces.append(_piece(name, 0, _UNKNOWN))
        elif name in added:
            pieces.append(_piece(name, 0, _USER_DEFINED))
        elif name in _BYTES:
            pieces.append(_piece(name, 0, _BYTE))
        else:
            # A piece that no merge makes is a character, or nothing that is ever made.
            pieces.append(_piece(name, -order.get(name, 0), _NORMAL))
    return b"".join(pieces) + _trainer(len(names), vocabulary[bpe["unk_token"]], bpe["unk_token"]) + _normalizer()


def _check_settings(content: Mapping[str, Any], bpe: Mapping[str, Any]) -> None:
    for name, wanted in (
        ("normalizer", (_NORMALIZER,)),
        ("pre_tokenizer", (None, _SPLITTER)),
        ("decoder", (_DECODER,)),
    ):
        if content.get(name) not in wanted:
            raise DifferentError(f"its {name} is another")
    for name, allowed in _BPE.items():
        if bpe.get(name) not in allowed:
            raise DifferentError(f"its {name} is {bpe.get(name)!r}")
    if not set(bpe["vocab"]) >= _BYTES:
        raise DifferentError("it does not have all 256 bytes")


def _added(tokens: Sequence[Mapping[str, Any]], unknown: str) -> _Added:
    for token in tokens:
        if token["single_word"] or token["lstrip"] or token["rstrip"]:
            raise DifferentError(f"its added token {token['content']!r} takes its surroundings into account")
        if not token["content"] or set(token["content"]) & {" ", "▁", "\0"}:
            raise DifferentError(f"its added token {token['content']!r} has a blank")
    if len({token["normalized"] for token in tokens}) > 1:
        raise DifferentError("some of its added tokens are found before, some after blanks are replaced")
    added = {token["content"]: token["id"] for token in tokens}
    if len(added) != len(tokens):
        raise DifferentError("it has an added token twice")
    if unknown not in added or set(added) & _BYTES:
        raise DifferentError("its unknown token or its bytes are of another kind")
    return _Added(added, frozenset(content[0] for content in added))


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _ordinary(names: Iterable[str], added: _Added) -> frozenset[str]:
    """Pieces that text can be joined to: no bytes, and none in which an added token is found first."""
    return frozenset(name for name in names if name not in _BYTES and not _has(name, added))


def _has(piece: str, added: _Added) -> bool:
    """Whether an added token stands in a piece: then the text is split there, and the piece is never made."""
    if added.firsts.isdisjoint(piece):
        return False
    starts = (at for at, letter in enumerate(piece) if letter in added.firsts)
    return any(piece[at:end] in added.ids for at in starts for end in range(at + 1, len(piece) + 1))


def _order(merges: Iterable[tuple[str, str]], ordinary: Set[str], added: _Added) -> dict[str, int]:
    """The place of each piece among those that merges make, from 1."""
    order: dict[str, int] = {}
    last = ""
    for left, right in merges:
        piece = left + right
        if not ((left in ordinary and right in ordinary and piece in ordinary) or _has(piece, added)):
            raise DifferentError(f"it merges {left!r} and {right!r}, which are not all ordinary pieces")
        if piece == last:
            continue
        if piece in order:
            raise DifferentError(f"the merges that make {piece!r} do not lie together")
        last, order[piece] = piece, len(order) + 1
    return order


def _check_complete(merges: int, ordinary: Set[str]) -> None:
    """Every merge joins ordinary pieces and none is there twice, so as many merges as joins are all of them."""
    letters = {letter for piece in ordinary for letter in piece}
    if not letters <= ordinary:
        raise DifferentError(f"{min(letters - ordinary)!r} is a character of a piece and no piece")
    joins = sum(piece[:at] in ordinary and piece[at:] in ordinary for piece in ordinary for at in range(1, len(piece)))
    if joins != merges:
        raise DifferentError(f"{joins:,} joins of two pieces make a piece, and {merges:,} of them are merges")


def _piece(name: str, score: int, kind: int) -> bytes:
    """``ModelProto.pieces``, put together here in one go: there are a quarter of a million."""
    text = name.encode("utf-8")
    body = b"\x0a" + _varint(len(text)) + text + b"\x15" + struct.pack("<f", score) + bytes((0x18, kind))
    return b"\x0a" + _varint(len(body)) + body


def _trainer(size: int, unknown: int, name: str) -> bytes:
    """``TrainerSpec``: BPE with bytes. Start and end tokens are the engine's affair, so there are none here."""
    body = _number(3, 2) + _number(4, size) + _number(35, 1) + _number(40, unknown)
    body += _number(41, -1) + _number(42, -1) + _number(43, -1) + _text(44, name) + _text(45, name)
    return _message(2, body)


def _normalizer() -> bytes:
    """``NormalizerSpec``: blanks become ``▁``; nothing is added, removed or changed besides."""
    return _message(3, _text(1, "identity") + _number(3, 0) + _number(4, 0) + _number(5, 1))


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8"))
