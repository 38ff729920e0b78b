"""Reader of a SentencePiece model, the protocol buffer ``ModelProto``: sentencepiece, ``sentencepiece_model.proto``."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from runtime_tests.errors import InputError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3


@dataclass(frozen=True)
class SentencePiece:
    """A model.

    Attributes:
        names, scores, kinds: of the pieces, by id; a kind is ``NORMAL``, ``UNKNOWN`` and so on.
        trainer, normalizer: numbers and texts of ``TrainerSpec`` and ``NormalizerSpec`` by field number.
    """

    names: tuple[str, ...]
    scores: tuple[float, ...]
    kinds: tuple[int, ...]
    trainer: dict[int, int | bytes]
    normalizer: dict[int, int | bytes]


def read(data: bytes) -> SentencePiece:
    """Parses a model.

    Raises:
        InputError: it is damaged.
    """
    names, scores, kinds = [], [], []
    settings: dict[int, dict[int, int | bytes]] = {_TRAINER: {}, _NORMALIZER: {}}
    try:
        for field, value in _fields(data):
            if not isinstance(value, bytes):
                raise ValueError(f"field {field} is a number")
            found = dict(_fields(value))
            if field == _PIECES:
                names.append(_bytes(found[1]).decode("utf-8"))
                scores.append(struct.unpack("<f", _bytes(found.get(2, bytes(4))))[0])
                kinds.append(int(found.get(3, NORMAL)))
            else:
                settings.setdefault(field, {}).update(found)
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise InputError(f"the SentencePiece model is damaged ({error})") from error
    return SentencePiece(tuple(names), tuple(scores), tuple(kinds), settings[_TRAINER], settings[_NORMALIZER])


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number stands where bytes are expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message; fixed-size numbers as their bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, form = tag >> 3, tag & 7
        if form == _VARINT:
            value, at = _varint(data, at)
            yield field, value
            continue
        if form == _BYTES:
            size, at = _varint(data, at)
        elif form in (_FIXED32, _FIXED64):
            size = 4 if form == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {form}")
        if at + size > len(data):
            raise ValueError(f"it ends at byte {len(data)}, inside field {field}")
        yield field, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")
