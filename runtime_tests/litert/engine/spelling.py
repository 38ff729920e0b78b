"""Rung 3: does the engine split text as the checkpoint's tokenizer.json does, over the whole vocabulary?

The artifact holds tokenizer.json itself, or a SentencePiece model made of it, which the engine loads faster. That is
held against tokenizer.json piece by piece; and the engine tokenizes every piece of the vocabulary, in a random order
so that neighbours that no text has meet, and turns the tokens into text again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime_tests.errors import InputError
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.litert import sentencepiece
from runtime_tests.readers.litert.sentencepiece import BYTE, NORMAL, UNKNOWN, USER_DEFINED

TOGETHER = 200
# Fields of TrainerSpec: model_type, treat_whitespace_as_suffix, byte_fallback.
_TYPE, _SUFFIX, _BYTE_FALLBACK, _BPE = 3, 24, 35, 2
# Fields of NormalizerSpec: precompiled_charsmap, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces and
# normalization_rule_tsv. Unset, the three in the middle are true.
_CHARSMAP, _PREFIX, _STRIP, _ESCAPE, _RULES = 2, 3, 4, 5, 6


def stored(case: LitertCase) -> list[str]:
    """What differs between the artifact's tokenizer and tokenizer.json."""
    content = (case.folder.path / "tokenizer.json").read_bytes()
    kinds = {section.kind for section in case.artifact.sections}
    if "SP_Tokenizer" not in kinds:
        return [] if case.artifact.tokenizer() == content else ["not the bytes of tokenizer.json"]
    if "HF_Tokenizer_Zlib" in kinds:
        return ["two tokenizers"]
    try:
        found = sentencepiece.read(bytes(case.artifact.one("SP_Tokenizer").data))
    except InputError as error:
        return [str(error)]
    return _differences(found, json.loads(content))


def _differences(found: sentencepiece.SentencePiece, content: dict[str, Any]) -> list[str]:
    added = {token["content"]: token["id"] for token in content["added_tokens"]}
    wanted = {**content["model"]["vocab"], **added}
    unknown, bytes_ = content["model"]["unk_token"], {f"<0x{byte:02X}>" for byte in range(256)}
    wrong = []
    if {name: i for i, name in enumerate(found.names)} != wanted or len(found.names) != len(wanted):
        wrong.append("the pieces are not those of tokenizer.json")
    for name, kind in zip(found.names, found.kinds, strict=True):
        right = UNKNOWN if name == unknown else USER_DEFINED if name in added else BYTE if name in bytes_ else NORMAL
        if kind != right:
            wrong.append(f"{name!r} is of kind {kind}, expected {right}")
    wrong += _scores(found, content["model"]["merges"])
    trainer, normalizer = found.trainer, found.normalizer
    if trainer.get(_TYPE) != _BPE or trainer.get(_BYTE_FALLBACK) != 1 or trainer.get(_SUFFIX):
        wrong.append("the model is no BPE with bytes")
    if normalizer.get(_PREFIX) != 0 or normalizer.get(_STRIP) != 0 or normalizer.get(_ESCAPE, 1) != 1:
        wrong.append("blanks are added, removed or kept")
    if normalizer.get(_CHARSMAP) or normalizer.get(_RULES):
        wrong.append("characters are replaced")
    return wrong


def _scores(found: sentencepiece.SentencePiece, merges: Sequence[Any]) -> list[str]:
    """Scores fall from one made piece to the next, in the order of the merges."""
    ranked = zip(found.names, found.scores, found.kinds, strict=True)
    scores = {name: score for name, score, kind in ranked if kind == NORMAL}
    last, before = "", float("inf")
    for merge in merges:
        piece = "".join(merge.split(" ") if isinstance(merge, str) else merge)
        if piece == last or piece not in scores:
            continue
        if scores[piece] >= before:
            return [f"{piece!r} has no lower score than {last!r}, which is made before it"]
        last, before = piece, scores[piece]
    return []


def texts(case: LitertCase) -> tuple[str, ...]:
    """Texts that have every piece of the vocabulary, but for those that cannot be said to the engine."""
    content = json.loads((case.folder.path / "tokenizer.json").read_bytes())
    names = {*content["model"]["vocab"], *(token["content"] for token in content["added_tokens"])}
    unknown = content["model"]["unk_token"]
    # A NUL ends the text in the engine's interface. The unknown token's name is spelled in one form and not the other.
    said = sorted(name.replace("▁", " ") for name in names if name != unknown and "\0" not in name)
    shuffled = [said[i] for i in np.random.default_rng(20261129).permutation(len(said))]
    joined = ("".join(shuffled[i : i + TOGETHER]) for i in range(0, len(shuffled), TOGETHER))
    return tuple(text for text in joined if unknown not in text)


def differing(
    case: LitertCase, said: Sequence[str], spelled: Sequence[Sequence[int]], again: Sequence[str]
) -> list[str]:
    """Texts that the engine tokenizes otherwise, or does not give back as the library does."""
    wrong = []
    for text, ids, back in zip(said, spelled, again, strict=True):
        wanted = case.tokenize(text)
        if list(ids) != wanted:
            unlike = (i for i, pair in enumerate(zip(ids, wanted, strict=False)) if pair[0] != pair[1])
            at = next(unlike, min(len(ids), len(wanted)))
            wrong.append(f"token {at}: {list(ids)[at : at + 4]}, expected {wanted[at : at + 4]}")
        elif back != case.detokenize(wanted):
            wrong.append(f"{text[:24]!r} comes back as {back[:24]!r}")
    return wrong
