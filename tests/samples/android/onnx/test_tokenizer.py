"""The Android sample's tokenizer against the ``tokenizers`` library, on the same files and texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from convert.demo.writing import tokenizer as writing
from tests.support.android.text_driver import TextDriver, running
from tests.support.checkpoints.published import full_tokenizer
from tests.support.samples.texts import (
    TEXTS,
    Content,
    demo_content,
    differing,
    old_merges,
    published_content,
    put,
    texts,
    without_normalizer,
    write,
)

VARIANTS: dict[str, Callable[[], Content]] = {
    "demo": demo_content,
    "published": published_content,
    "without a normalizer": without_normalizer,
    "old merges": old_merges,
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextDriver]:
    with running(tmp_path_factory.mktemp("driver")) as found:
        yield found


@pytest.mark.parametrize("variant", VARIANTS)
def test_texts_become_the_tokens_of_the_library_and_these_its_text(
    variant: str, driver: TextDriver, tmp_path: Path
) -> None:
    file = write(tmp_path, VARIANTS[variant]())
    library = Tokenizer.from_file(str(file))
    last = library.get_vocab_size(with_added_tokens=True)
    assert driver.ask("tokenizer", file=str(file))["count"] == last
    given = texts()[: TEXTS // (2 if variant in ("demo", "published") else 5)]
    wanted = [encoding.ids for encoding in library.encode_batch(list(given), add_special_tokens=False)]
    assert differing(driver.run("encode", given), wanted, given) == []
    draw = random.Random(1)
    tokens = [*wanted[: TEXTS // 10], *([draw.randrange(last) for _ in range(30)] for _ in range(500))]
    for skip in (True, False):
        decoded = library.decode_batch(tokens, skip_special_tokens=skip)
        found = driver.run("decode", tokens, skip=skip)
        assert differing([text for text, _ in found], decoded, tokens) == []
        assert differing(["".join(pieces) for _, pieces in found], decoded, tokens) == []


def test_a_tokenizer_of_published_size_loads_soon_and_encodes_as_the_library_does(
    driver: TextDriver, tmp_path: Path
) -> None:
    file = write(tmp_path, writing.published_text(full_tokenizer.pieces()))
    loaded = driver.ask("tokenizer", file=str(file))
    assert loaded["count"] == 262_144
    assert loaded["seconds"] < 30, "it takes a second or two"
    library = Tokenizer.from_file(str(file))
    given = texts()[: TEXTS // 20]
    wanted = [encoding.ids for encoding in library.encode_batch(list(given), add_special_tokens=False)]
    assert differing(driver.run("encode", given), wanted, given) == []


def test_long_texts_without_a_blank_take_no_longer_than_others(driver: TextDriver, tmp_path: Path) -> None:
    file = write(tmp_path, published_content())
    driver.ask("tokenizer", file=str(file))
    given = ("a" * 200_000, "thewaterteacher" * 10_000, "漢" * 50_000, "<" * 200_000)
    library = Tokenizer.from_file(str(file))
    wanted = [library.encode(text, add_special_tokens=False).ids for text in given]
    assert differing(driver.run("encode", given), wanted, [text[:9] for text in given]) == []


def test_a_streamed_character_comes_whole(driver: TextDriver, tmp_path: Path) -> None:
    driver.ask("tokenizer", file=str(write(tmp_path, demo_content())))
    vocab = demo_content()["model"]["vocab"]
    whole = [vocab[f"<0x{byte:02X}>"] for byte in "🚀".encode()]
    broken = whole[:2]
    ((text, pieces),) = driver.run("decode", [[*whole, *broken, vocab["a"], *whole]], skip=True)
    assert text == "🚀\ufffd\ufffda🚀".replace("🚀\ufffd\ufffd", "\ufffd" * 6)
    assert pieces == ["", "", "", "", "", "", "\ufffd" * 6 + "a", "", "", "", "", "🚀"]


REFUSED: dict[str, tuple[Callable[[Content], object], str]] = {
    "another version": (put("version", value="2.0"), 'the version is not "1.0"'),
    "truncation": (put("truncation", value={"max_length": 5}), "truncation is set"),
    "a new member": (put("more", value=1), '"more" is not known'),
    "another model": (put("model", "type", value="Unigram"), 'model.type is "Unigram"'),
    "a new setting": (put("model", "more", value=1), "model.more is not known"),
    "dropout": (put("model", "dropout", value=0.1), "model.dropout is 0.1"),
    "no bytes": (put("model", "byte_fallback", value=False), "model.byte_fallback is false"),
    "whole pieces": (put("model", "ignore_merges", value=True), "model.ignore_merges is true"),
    "a lost byte": (lambda c: c["model"]["vocab"].update({"<new>": c["model"]["vocab"].pop("<0x41>")}), "lacks <0x41>"),
    "an id twice": (put("model", "vocab", "more", value=5), '"more" or its id 5 twice'),
    "a huge id": (put("model", "vocab", "more", value=1 << 40), "the id 1099511627776"),
    "a fraction": (put("model", "vocab", "more", value=5.5), "an integer expected"),
    "an unknown piece": (lambda c: c["model"]["merges"].append(["q", "zz"]), 'needs "zz"'),
    "an unknown result": (lambda c: c["model"]["merges"].append(["q", "z"]), 'needs "qz"'),
    "three pieces": (lambda c: c["model"]["merges"].append(["q", "z", "z"]), "a merge of 3 pieces instead of 2"),
    "no merges": (lambda c: c["model"].pop("merges"), "model.merges is missing"),
    "no vocabulary": (lambda c: c["model"].pop("vocab"), "model.vocab is missing"),
    "no model": (lambda c: c.pop("model"), "there is no model"),
    "another normalizer": (put("normalizer", value={"type": "NFC"}), '"NFC" is not known'),
    "a regular expression": (put("normalizer", "pattern", value={"Regex": " "}), '"Regex" is not known'),
    "another cut": (put("pre_tokenizer", "behavior", value="Isolated"), '"Isolated" is not known'),
    "an inverted cut": (put("pre_tokenizer", "invert", value=True), "invert is set"),
    "another decoder": (lambda c: c["decoder"]["decoders"].append({"type": "Strip"}), "decoder ends with"),
    "no decoder": (put("decoder", value=None), "decoder ends with"),
    "another post processor": (put("post_processor", "type", value="ByteLevel"), '"ByteLevel" is not known'),
    "an added token's blanks": (put("added_tokens", 5, "lstrip", value=True), "has lstrip"),
    "an added token's id": (put("added_tokens", 5, "id", value=6), "has the id 6; it is token 5"),
    "an added token twice": (lambda c: c["added_tokens"].append(c["added_tokens"][3]), "comes twice"),
    "an unknown flag": (put("added_tokens", 5, "more", value=True), '"more" is not known'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_asks_for_something_else_is_refused_by_name(name: str, driver: TextDriver, tmp_path: Path) -> None:
    apply, words = REFUSED[name]
    content = demo_content()
    apply(content)
    error = driver.ask("tokenizer", file=str(write(tmp_path, content)))["error"]
    assert error.startswith("tokenizer.json: ")
    assert words in error
    assert "\n" not in error


def test_a_file_that_is_cut_or_missing_is_refused(driver: TextDriver, tmp_path: Path) -> None:
    text = json.dumps(demo_content(), ensure_ascii=False)
    for end in range(0, len(text) - 1, 311):
        assert "tokenizer.json: " in driver.ask("tokenizer", file=str(write(tmp_path, text[:end])))["error"]
    assert "cannot be read" in driver.ask("tokenizer", file=str(tmp_path / "none.json"))["error"]
    for text in ('{"model": {"vocab": {"\\ud800": 0}}}', '{"decoder": ' + '{"a":' * 10_000, "[]", '{"a": 1, "a": 2}'):
        assert driver.ask("tokenizer", file=str(write(tmp_path, text)))["error"]
