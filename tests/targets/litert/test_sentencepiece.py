"""A tokenizer.json as a SentencePiece model: the same tokens where it is made, a reason where it is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from convert import demo
from convert.demo.writing import tokenizer
from convert.targets.litert.sentencepiece import DifferentError, model, read
from runtime_tests.readers.litert import sentencepiece
from runtime_tests.readers.litert.sentencepiece import BYTE, NORMAL, UNKNOWN, USER_DEFINED
from tests.support.checkpoints.published import companions as published

LETTERS = "ab▁"


def random_content(seed: int) -> dict[str, Any]:
    """A vocabulary of few letters, so that pieces overlap, repeat and are made late in every way there is."""
    generator = np.random.default_rng(seed)
    known = list(LETTERS)
    while len(known) < 14:
        piece = "".join(known[i] for i in generator.integers(0, len(known), 2))
        if len(piece) <= 6 and piece not in known:
            known.append(piece)
    made = [piece for piece in generator.permutation(known[len(LETTERS) :]).tolist() if piece]
    merges = list(tokenizer.splits(made, set(known)))
    ways = {piece: [merge for merge in merges if "".join(merge) == piece] for piece in made}
    mixed = [ways[piece][i] for piece in made for i in generator.permutation(len(ways[piece]))]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<|turn>b"]
    pieces = (*special, *(f"<0x{byte:02X}>" for byte in range(256)), *known)
    content = tokenizer.tokenizer_json(tokenizer.Pieces(pieces, tuple(mixed), frozenset()), published=True)
    content["added_tokens"] = [
        {**content["added_tokens"][0], "content": name, "id": i} for i, name in enumerate(special)
    ]
    return content


def encode(found: sentencepiece.SentencePiece, text: str) -> list[int]:
    """SentencePiece's algorithm, in its slowest form: bpe_model.cc."""
    text = text.replace(" ", "▁")
    frozen = sorted((n for n, kind in zip(found.names, found.kinds, strict=True) if kind == USER_DEFINED), key=len)
    ids = {name: i for i, name in enumerate(found.names)}
    joinable = {name: found.scores[i] for name, i in ids.items() if found.kinds[i] in (NORMAL, USER_DEFINED)}
    symbols: list[tuple[str, bool]] = []
    while text:
        match = next((name for name in reversed(frozen) if text.startswith(name)), "")
        symbols.append((match or text[0], bool(match)))
        text = text[len(symbols[-1][0]) :]
    while True:
        best = min(
            (
                (-joinable[left[0] + right[0]], at)
                for at, (left, right) in enumerate(pairwise(symbols))
                if not left[1] and not right[1] and left[0] + right[0] in joinable
            ),
            default=None,
        )
        if best is None:
            break
        at = best[1]
        symbols[at : at + 2] = [(symbols[at][0] + symbols[at + 1][0], False)]
    out: list[int] = []
    for name, _ in symbols:
        known = name in joinable
        out += [ids[name]] if known else [ids[f"<0x{byte:02X}>"] for byte in name.encode()]
    return out


def random_texts(seed: int) -> list[str]:
    generator = np.random.default_rng([seed, 1])
    parts = ["a", "b", " ", "a", "b", " ", "<|turn>", "<|turn>b", "é", "▁"]
    return ["".join(parts[i] for i in generator.integers(0, len(parts), 24)) for _ in range(40)]


def test_random_vocabularies_give_the_same_tokens_in_both_forms() -> None:
    made = 0
    for seed in range(120):
        content = random_content(seed)
        found, plain = sentencepiece.read(model(content)), Tokenizer.from_str(json.dumps(content))
        for text in random_texts(seed):
            assert encode(found, text) == plain.encode(text).ids, (seed, text)
            made += 1
    assert made == 4800


def test_without_one_merge_the_tokens_differ_and_so_the_model_is_not_made() -> None:
    """The condition is needed: what is refused would be split otherwise."""
    differing = 0
    for seed in range(40):
        content = random_content(seed)
        found = sentencepiece.read(model(content))
        del content["model"]["merges"][len(content["model"]["merges"]) // 2]
        with pytest.raises(DifferentError, match=r"joins of two pieces make a piece, and \d+ of them are merges"):
            model(content)
        plain = Tokenizer.from_str(json.dumps(content))
        differing += any(encode(found, text) != plain.encode(text).ids for text in random_texts(seed))
    assert differing > 10


def test_kinds_and_settings_are_what_sentencepiece_needs() -> None:
    content = json.loads(tokenizer.published_text(published.vocabulary(1003)))
    found = sentencepiece.read(model(content))
    assert found.names == tuple(content["model"]["vocab"])
    kinds = {name: found.kinds[found.names.index(name)] for name in ("<unk>", "<eos>", "<|turn>", "<0x0A>", "▁the")}
    assert kinds == {"<unk>": UNKNOWN, "<eos>": USER_DEFINED, "<|turn>": USER_DEFINED, "<0x0A>": BYTE, "▁the": NORMAL}
    assert found.normalizer == {1: b"identity", 3: 0, 4: 0, 5: 1}
    assert (found.trainer[3], found.trainer[4], found.trainer[35], found.trainer[40]) == (2, 1003, 1, 3)


def test_transformers_reads_the_model_with_the_same_schema() -> None:
    """An independent reader of the wire format."""
    pb2 = pytest.importorskip("transformers.utils.sentencepiece_model_pb2_new")
    data = model(random_content(3))
    parsed, found = pb2.ModelProto.FromString(data), sentencepiece.read(data)
    assert [(p.piece, p.score, p.type) for p in parsed.pieces] == [
        *zip(found.names, found.scores, found.kinds, strict=True)
    ]
    assert parsed.trainer_spec.byte_fallback
    assert not parsed.normalizer_spec.add_dummy_prefix
    assert not parsed.normalizer_spec.remove_extra_whitespaces


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            content = content[int(name)] if name.isdigit() else content[name]
        content[last] = value

    return change


def _swap(content: dict[str, Any]) -> None:
    merges = content["model"]["merges"]
    merges.append(merges.pop(0))


REFUSED: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (_set("normalizer", None), "its normalizer is another"),
    (_set("normalizer.content", "_"), "its normalizer is another"),
    (_set("pre_tokenizer", {"type": "Whitespace"}), "its pre_tokenizer is another"),
    (_set("decoder", None), "its decoder is another"),
    (_set("model.type", "Unigram"), "its type is 'Unigram'"),
    (_set("model.dropout", 0.1), r"its dropout is 0\.1"),
    (_set("model.byte_fallback", False), "its byte_fallback is False"),
    (_set("model.ignore_merges", True), "its ignore_merges is True"),
    (_set("added_tokens.1.lstrip", True), "takes its surroundings into account"),
    (_set("added_tokens.1.normalized", True), "some of its added tokens are found before"),
    (_set("added_tokens.1.content", "a b"), "has a blank"),
    (_set("added_tokens.1.content", "<pad>"), "it has an added token twice"),
    (_set("added_tokens.1.id", 999), "its ids are not 0, 1, 2"),
    (_set("model.vocab.<0x00>", "x"), "it is laid out otherwise"),
    (_set("model.merges", [["a"]]), "it is laid out otherwise"),
    (_set("added_tokens", None), "it is laid out otherwise"),
    (lambda content: content["model"]["vocab"].pop("<0x41>"), "it does not have all 256 bytes"),
    (lambda content: content["model"]["merges"].append(content["model"]["merges"][0]), "it has a merge twice"),
    (lambda content: content["model"]["merges"].append(["<0x41>", "<0x42>"]), "which are not all ordinary pieces"),
    (lambda content: content["model"]["vocab"].update({"cc": 276}), "'c' is a character of a piece and no piece"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_tokenizer_that_might_split_text_otherwise_is_named(
    change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    content = copy.deepcopy(random_content(0))
    model(content)
    change(content)
    with pytest.raises(DifferentError, match=reason):
        model(content)


def test_merges_of_one_piece_that_do_not_lie_together_are_refused() -> None:
    content = next(c for c in map(random_content, range(50)) if len(_ways(c)) > 1)
    _swap(content)
    with pytest.raises(DifferentError, match=r"the merges that make .* do not lie together"):
        model(content)


def _ways(content: dict[str, Any]) -> list[Any]:
    first = "".join(content["model"]["merges"][0])
    return [merge for merge in content["model"]["merges"] if "".join(merge) == first]


def test_pieces_with_an_added_token_inside_are_never_made_and_do_no_harm() -> None:
    content = random_content(1)
    pieces = content["model"]["vocab"]
    pieces |= {"\n": len(pieces), "\na": len(pieces) + 1}
    content["model"]["merges"].append(["\n", "a"])
    content["added_tokens"].append({**content["added_tokens"][0], "content": "\n", "id": pieces["\n"]})
    found, plain = sentencepiece.read(model(content)), Tokenizer.from_str(json.dumps(content))
    for text in ("\na", "a\nab\n\nb", "\n"):
        assert encode(found, text) == plain.encode(text).ids


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000, b'{"model": {}}'])
def test_what_is_no_tokenizer_gives_a_reason_and_no_crash(data: bytes) -> None:
    with pytest.raises(DifferentError):
        read(data)


def test_the_demo_keeps_its_own_form_because_its_merges_are_fewer(demo_file: Path) -> None:
    from runtime_tests.readers.litert.litertlm import open_litertlm

    stored = (demo.folder() / "tokenizer.json").read_bytes()
    with pytest.raises(DifferentError, match="joins of two pieces"):
        read(stored)
    assert open_litertlm(demo_file).tokenizer() == stored
