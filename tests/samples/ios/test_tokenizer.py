"""The Swift tokenizer against the ``tokenizers`` library, on the same files and texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from convert.demo.writing import tokenizer as writing
from tests.support.checkpoints.published import full_tokenizer
from tests.support.ios import swift_tools
from tests.support.samples.texts import (
    TEXTS,
    Content,
    demo_content,
    differing,
    old_merges,
    published_content,
    put,
    small,
    texts,
    without_normalizer,
    write,
)


def cut(behavior: str, invert: bool) -> Content:
    content = without_normalizer()
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"String": " "}, "behavior": behavior, "invert": invert},
            {"type": "Split", "pattern": {"String": "an"}, "behavior": "Isolated", "invert": False},
        ],
    }
    return content


def without_bytes(fuse: bool) -> Content:
    """What is no piece is unknown."""
    content = demo_content()
    content["model"] |= {"byte_fallback": False, "fuse_unk": fuse}
    return content


def with_few_bytes() -> Content:
    """Some bytes are pieces: a character becomes bytes where all of its are, and else it is unknown."""
    content = demo_content()
    vocab = content["model"]["vocab"]
    for byte in (0x80, 0x9F, 0xBD, 0x0D):
        vocab[f"<unused byte {byte}>"] = vocab.pop(f"<0x{byte:02X}>")
    return content


def without_unknown() -> Content:
    content = without_bytes(fuse=False)
    content["model"]["unk_token"] = None
    return content


def with_flags() -> Content:
    """Added tokens of every kind; some are no pieces of the model."""
    content = demo_content()
    count = len(content["model"]["vocab"])
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    kinds: list[Content] = [
        {"content": "<left>", "lstrip": True},
        {"content": "<right>", "rstrip": True, "special": True},
        {"content": "<both>", "lstrip": True, "rstrip": True},
        {"content": "word", "single_word": True},
        {"content": "words", "single_word": True},
        {"content": "a b", "normalized": True},
        {"content": "▁c", "normalized": True},
        # Not special: of a token that is both the library forgets it when it decodes.
        {"content": "the water", "normalized": True},
        {"content": "\n\n"},
        {"content": "\n\n\n\n"},
        {"content": "é"},
        {"content": "e\u0301"},
        {"content": "<0x41>"},
    ]
    vocab = content["model"]["vocab"]
    for kind in kinds:
        id = vocab.get(kind["content"], count)
        count += id == count
        content["added_tokens"].append({**plain, **kind, "id": id})
    return content


def whole_pieces() -> Content:
    content = published_content()
    content["model"]["ignore_merges"] = True
    return content


def prepended() -> Content:
    content = demo_content()
    steps = [{"type": "Prepend", "prepend": "▁"}, content["normalizer"]]
    content["normalizer"] = {"type": "Sequence", "normalizers": steps}
    content["pre_tokenizer"] = None
    content["decoder"]["decoders"].insert(2, {"type": "Replace", "pattern": {"String": "e"}, "content": "3"})
    return content


VARIANTS: dict[str, Callable[[], Content]] = {
    "demo": demo_content,
    "published": published_content,
    "without a normalizer": without_normalizer,
    **{
        f"cut {behavior}{' inverted' if invert else ''}": partial(cut, behavior, invert)
        for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        for invert in (False, True)
    },
    "without bytes": partial(without_bytes, fuse=False),
    "without bytes, unknown fused": partial(without_bytes, fuse=True),
    "with few bytes": with_few_bytes,
    "without an unknown token": without_unknown,
    "with flags": with_flags,
    "whole pieces": whole_pieces,
    "old merges": old_merges,
    "prepended": prepended,
}


class Swift:
    """The driver's tokenizer of a name."""

    def __init__(self, folder: Path) -> None:
        self._driver = swift_tools.driver()
        self._asked, self._told = folder / "asked", folder / "told"

    def load(self, file: Path) -> dict[str, Any]:
        return self._driver.ask("tokenizer.load", name="it", file=str(file))

    def refusal(self, file: Path) -> str:
        answer = self._driver.tell("tokenizer.load", name="refused", file=str(file))
        assert answer.get("type") == "Refused", answer
        error: str = answer["error"]
        assert "\n" not in error
        assert len(error) < 400
        return error

    def encode(self, given: tuple[str, ...], control: bool = True) -> list[list[int]]:
        return self._run("tokenizer.encode", given, control=control)

    def decode(self, given: list[list[int]], skip_special: bool) -> list[tuple[str, list[str]]]:
        """The text of all tokens, and the pieces as they came one by one."""
        return [(all, pieces) for all, pieces in self._run("tokenizer.decode", given, skip_special=skip_special)]

    def _run(self, command: str, given: Any, **more: Any) -> list[Any]:
        self._asked.write_text("".join(json.dumps(one) + "\n" for one in given), "utf-8")
        self._driver.ask(command, name="it", given=str(self._asked), told=str(self._told), **more)
        return [json.loads(line) for line in self._told.read_text("utf-8").splitlines()]


@pytest.fixture
def swift(tmp_path: Path) -> Swift:
    return Swift(tmp_path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_texts_become_the_tokens_of_the_library_and_these_its_text(variant: str, swift: Swift, tmp_path: Path) -> None:
    file = write(tmp_path, VARIANTS[variant]())
    library = Tokenizer.from_file(str(file))
    assert swift.load(file)["count"] == library.get_vocab_size(with_added_tokens=True)
    given = texts() if variant in ("demo", "published", "with flags") else texts()[: TEXTS // 5]
    wanted = [encoding.ids for encoding in library.encode_batch(list(given), add_special_tokens=False)]
    assert differing(swift.encode(given), wanted, given) == []
    draw = random.Random(1)
    last = library.get_vocab_size(with_added_tokens=True)
    tokens = [*wanted[: TEXTS // 5], *([draw.randrange(last) for _ in range(30)] for _ in range(500))]
    for skip in (True, False):
        decoded = library.decode_batch(tokens, skip_special_tokens=skip)
        found = swift.decode(tokens, skip)
        assert differing([text for text, _ in found], decoded, tokens) == []
        assert differing(["".join(pieces) for _, pieces in found], decoded, tokens) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_text_of_a_person_spells_no_added_token(variant: str, swift: Swift, tmp_path: Path) -> None:
    content = VARIANTS[variant]()
    given = tuple(text for text in texts()[:3000] if "<" in text)
    swift.load(write(tmp_path, content))
    found = swift.encode(given, control=False)
    special = {token["id"] for token in content["added_tokens"] if token["special"]}
    unknown = content["model"]["vocab"].get(content["model"]["unk_token"])
    assert [text for text, ids in zip(given, found, strict=True) if special & set(ids) - {unknown}] == []
    if variant != "whole pieces":  # of which the library knows only those of the file
        plain = Tokenizer.from_str(json.dumps(content | {"added_tokens": []}))
        assert differing(found, [plain.encode(text, add_special_tokens=False).ids for text in given], given) == []


def test_no_merge_and_no_whole_piece_makes_a_special_token_of_a_persons_text(swift: Swift, tmp_path: Path) -> None:
    """A file whose merges spell a control token: ordinary text that opens a turn unless it is kept from it."""
    content = whole_pieces()
    vocab = content["model"]["vocab"]
    steps = ("<|", "<|t", "<|tu", "<|tur", "<|turn", "<|turn>")
    for text in steps:
        vocab.setdefault(text, len(vocab))
    content["model"]["merges"][:0] = [[text[:-1], text[-1]] for text in steps]
    for whole in (True, False):
        content["model"]["ignore_merges"] = whole
        swift.load(write(tmp_path, content))
        assert swift.encode(("<|turn>",)) == [[105]]
        (found,) = swift.encode(("<|turn>",), control=False)
        assert found == [vocab["<|turn"], vocab[">"]]
        assert swift.decode([found], True)[0][0] == "<|turn>"


def test_a_tokenizer_of_published_size_loads_soon_and_encodes_as_the_library_does(swift: Swift, tmp_path: Path) -> None:
    file = write(tmp_path, writing.published_text(full_tokenizer.pieces()))
    loaded = swift.load(file)
    assert loaded["count"] == 262_144
    assert loaded["seconds"] < 30, "it takes a second or two"
    library = Tokenizer.from_file(str(file))
    given = texts()[: TEXTS // 2]
    wanted = [encoding.ids for encoding in library.encode_batch(list(given), add_special_tokens=False)]
    assert differing(swift.encode(given), wanted, given) == []
    assert [text for text, _ in swift.decode(wanted, False)] == library.decode_batch(wanted, skip_special_tokens=False)


def test_long_texts_without_a_blank_take_no_longer_than_others(swift: Swift, tmp_path: Path) -> None:
    file = write(tmp_path, published_content())
    swift.load(file)
    given = (
        "a" * 400_000,
        "thewaterteacher" * 30_000,
        "漢" * 100_000,
        "\n" * 200_000,
        "<" * 300_000,
        "e\u0301" * 100_000,
    )
    library = Tokenizer.from_file(str(file))
    wanted = [library.encode(text, add_special_tokens=False).ids for text in given]
    driver = swift_tools.driver()
    (tmp_path / "asked").write_text("".join(json.dumps(text) + "\n" for text in given), "utf-8")
    asked, told = str(tmp_path / "asked"), str(tmp_path / "told")
    assert driver.ask("tokenizer.encode", name="it", control=True, given=asked, told=told)["seconds"] < 20
    found = [json.loads(line) for line in (tmp_path / "told").read_text("utf-8").splitlines()]
    assert differing(found, wanted, [text[:9] for text in given]) == []


def test_a_streamed_character_comes_whole(swift: Swift, tmp_path: Path) -> None:
    swift.load(write(tmp_path, demo_content()))
    vocab = demo_content()["model"]["vocab"]

    def spelled(data: bytes) -> list[int]:
        return [vocab[f"<0x{byte:02X}>"] for byte in data]

    a, turn = vocab["a"], vocab["<turn|>"]
    fox = spelled("🦊".encode())
    given = [
        [*fox, a],
        [*fox[:3], a],
        [a, *fox],
        [*fox, turn, *fox, a],
        [*fox[:2], turn, *fox[2:], a],
        [*fox, *fox[:1]],
    ]
    assert swift.decode(given, True) == [
        ("🦊a", ["", "", "", "", "🦊a", ""]),
        ("\ufffd\ufffd\ufffda", ["", "", "", "\ufffd\ufffd\ufffda", ""]),
        ("a🦊", ["a", "", "", "", "", "🦊"]),
        ("🦊🦊a", ["", "", "", "", "", "", "", "", "", "🦊🦊a", ""]),
        ("🦊a", ["", "", "", "", "", "🦊a", ""]),
        ("\ufffd" * 5, ["", "", "", "", "", "\ufffd" * 5]),
    ]


def test_a_token_is_told_as_the_file_spells_it_and_one_that_is_none_is_refused(swift: Swift, tmp_path: Path) -> None:
    swift.load(write(tmp_path, with_flags()))
    driver = swift_tools.driver()
    assert driver.ask("tokenizer.text", name="it", id=105) == {"text": "<|turn>", "id": 105, "special": True}
    assert driver.ask("tokenizer.text", name="it", id=1280) == {"text": "<left>", "id": 1280, "special": False}
    for id in (-1, 5000, 1 << 31, 1 << 40):
        assert driver.ask("tokenizer.text", name="it", id=id) == {"text": None}
    (tmp_path / "asked").write_text("[1, 5000]\n", "utf-8")
    asked, told = str(tmp_path / "asked"), str(tmp_path / "told")
    answer = driver.tell("tokenizer.decode", name="it", skip_special=True, given=asked, told=told)
    assert answer == {"error": "no token 5000: the tokenizer has 1290", "type": "Refused"}


def changed(change: Callable[[Content], object]) -> Content:
    content = demo_content()
    change(content)
    return content


REFUSED: dict[str, tuple[Callable[[Content], object], str]] = {
    "another version": (put("version", value="2.0"), 'the version is not "1.0"'),
    "an unknown member": (put("more", value=1), '"more" is not known to this app'),
    "truncation": (put("truncation", value={"max_length": 5}), "truncation is set"),
    "padding": (put("padding", value={"pad_id": 0}), "padding is set"),
    "a normalizer": (
        put("normalizer", value={"type": "NFC"}),
        'normalizer.type is "NFC"; this app knows Replace, Prepend',
    ),
    "a pattern": (put("normalizer", "pattern", value={"Regex": " +"}), "normalizer.pattern.Regex is not known"),
    "an empty pattern": (put("normalizer", "pattern", "String", value=""), "normalizer.pattern.String is empty"),
    "growth": (put("normalizer", "content", value="x" * 200), "normalizer makes more than 64 bytes of one"),
    "a pre-tokenizer": (put("pre_tokenizer", "type", value="ByteLevel"), 'is "ByteLevel"; this app knows Split'),
    "a behavior": (put("pre_tokenizer", "behavior", value="Odd"), 'pre_tokenizer.behavior is "Odd"'),
    "a post-processor": (put("post_processor", "type", value="ByteLevel"), "this app knows TemplateProcessing"),
    "no decoder": (put("decoder", value=None), "there is no decoder"),
    "a decoder": (put("decoder", "decoders", 2, "type", value="Strip"), r"decoder.decoders\[2\].type is \"Strip\""),
    "a step after Fuse": (lambda c: c["decoder"]["decoders"].reverse(), "is ByteFallback after Fuse"),
    "another model": (put("model", "type", value="Unigram"), 'model.type is not "BPE"'),
    "dropout": (put("model", "dropout", value=0.1), "model.dropout is set"),
    "a prefix": (put("model", "continuing_subword_prefix", value="##"), "continuing_subword_prefix is set"),
    "a suffix": (put("model", "end_of_word_suffix", value="</w>"), "end_of_word_suffix is set"),
    "an unknown setting": (put("model", "more", value=1), "model.more is not known"),
    "a lost unknown token": (put("model", "unk_token", value="<none>"), 'model.unk_token is "<none>"'),
    "a number for a flag": (put("model", "fuse_unk", value=1), "model.fuse_unk is not true or false"),
    "a text for the vocabulary": (put("model", "vocab", value="x"), "'{' expected"),
    "no vocabulary": (lambda c: c["model"].pop("vocab"), "model.vocab is missing"),
    "no merges": (lambda c: c["model"].pop("merges"), "model.merges is missing"),
    "no model": (lambda c: c.pop("model"), "there is no model"),
    "an id twice": (put("model", "vocab", "more", value=5), 'model.vocab has "more" or its id 5 twice'),
    "a negative id": (put("model", "vocab", "more", value=-1), 'gives "more" the id -1; 0 to 4194303 are allowed'),
    "a huge id": (put("model", "vocab", "more", value=1 << 40), "the id 1099511627776"),
    "an id beyond 64 bits": (put("model", "vocab", "more", value=1 << 70), "an integer expected"),
    "a text for an id": (put("model", "vocab", "more", value="5"), "an integer expected"),
    "a fraction for an id": (put("model", "vocab", "more", value=5.5), "an integer expected"),
    "an unknown piece": (lambda c: c["model"]["merges"].append(["q", "zz"]), r'merges\[821\] needs "zz"'),
    "an unknown result": (lambda c: c["model"]["merges"].append(["q", "z"]), r'merges\[821\] needs "qz"'),
    "three pieces": (lambda c: c["model"]["merges"].append(["q", "z", "z"]), "a merge of 3 pieces instead of 2"),
    "a line of three": (lambda c: c["model"]["merges"].append("q z z"), "a merge of 3 pieces instead of 2"),
    "a merge of numbers": (lambda c: c["model"]["merges"].append([1, 2]), "a string expected"),
    "an added token's id": (put("added_tokens", 5, "id", value=6), r'\[5\].id is 6; "<unused5>" is token 5'),
    "a gap": (put("added_tokens", 5, "content", value="<new>"), r'\[5\].id is 5; "<new>" is token 1280'),
    "an added token twice": (lambda c: c["added_tokens"].append(c["added_tokens"][3]), r'\[107\].content is "<unk>"'),
    "an empty added token": (put("added_tokens", 5, "content", value=""), "content has 0 bytes"),
    "a long added token": (put("added_tokens", 5, "content", value="x" * 2000), "content has 2000 bytes"),
    "no flag": (lambda c: c["added_tokens"][5].pop("special"), r"added_tokens\[5\].special is missing"),
    "a flag of text": (put("added_tokens", 5, "lstrip", value="no"), "lstrip is not true or false"),
    "an unknown flag": (put("added_tokens", 5, "more", value=True), "more is not known"),
    "a number for tokens": (put("added_tokens", value=3), r"'\[' expected"),
    "no object": (put("added_tokens", 5, value="x"), r"added_tokens\[5\] is no object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_asks_for_something_else_is_refused_by_name(name: str, swift: Swift, tmp_path: Path) -> None:
    change, words = REFUSED[name]
    error = swift.refusal(write(tmp_path, changed(change)))
    assert error.startswith("tokenizer.json: ")
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the document ends early"),
        ("[]", "'{' expected"),
        ("null", "'{' expected"),
        ('{"version": "1.0"}', "there is no model"),
        ('{"model": ' + "[" * 100_000, "'{' expected"),
        ('{"decoder": ' + "[" * 100_000, "nested deeper than 64"),
        ('{"decoder": ' + '{"a":' * 100_000, "nested deeper than 64"),
        ('{"model": {"vocab": {"a": 0, "b": 1, "a": 2}}}', 'model.vocab has "a" or its id 2 twice'),
        ('{"model": {"vocab": {"\\ud800": 0}}}', "half of a surrogate pair"),
        ('{"model": {}, "model": {}}', 'the key "model" twice'),
    ],
)
def test_what_is_no_tokenizer_is_refused_in_one_line(text: str, words: str, swift: Swift, tmp_path: Path) -> None:
    assert words in swift.refusal(write(tmp_path, text))


def test_a_missing_file_and_a_folder_are_refused(swift: Swift, tmp_path: Path) -> None:
    assert "none.json cannot be read" in swift.refusal(tmp_path / "none.json")
    assert "cannot be read" in swift.refusal(tmp_path)


def test_a_file_that_is_cut_anywhere_is_refused(swift: Swift, tmp_path: Path) -> None:
    text = json.dumps(demo_content(), ensure_ascii=False)
    for end in range(0, len(text) - 1, 311):
        swift.refusal(write(tmp_path, text[:end]))


def test_letters_that_look_alike_are_pieces_of_their_own(swift: Swift, tmp_path: Path) -> None:
    """Composed and decomposed: one string to Swift, two to a tokenizer."""
    pieces = [*small().pieces]
    place = pieces.index("<unused1200>") if "<unused1200>" in pieces else len(pieces) - 20
    pieces[place], pieces[place + 1], pieces[place + 2] = "\u00e9", "\u0301", "e\u0301"
    merges = tuple(pair for pair in small().merges if {*pair, pair[0] + pair[1]} <= set(pieces))
    content = writing.tokenizer_json(replace(small(), pieces=tuple(pieces), merges=(("e", "\u0301"), *merges)), True)
    swift.load(write(tmp_path, content))
    assert swift.encode(("\u00e9", "e\u0301", "\u0301")) == [[place], [place + 2], [place + 1]]
