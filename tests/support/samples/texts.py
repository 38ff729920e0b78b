"""Tokenizer files and texts of many scripts, for the samples' tokenizers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from convert import demo
from convert.demo.writing import tokenizer as writing
from tests.support.checkpoints.corpus import sentences
from tests.support.checkpoints.published import companions

TEXTS = 10_000


Content = dict[str, Any]


@cache
def small() -> writing.Pieces:
    """The demo's manner, with every way to split a piece as a merge: what published vocabularies are like."""
    return companions.vocabulary(1280)


def demo_content() -> Content:
    content: Content = json.loads((demo.folder() / "tokenizer.json").read_text("utf-8"))
    return content


def published_content() -> Content:
    return writing.tokenizer_json(small(), published=True)


def without_normalizer() -> Content:
    """Blanks stay blanks: the text is cut at them."""
    content = published_content()
    content["normalizer"] = None
    content["model"]["vocab"] = {piece.replace("▁", " "): i for piece, i in content["model"]["vocab"].items()}
    content["model"]["merges"] = [[part.replace("▁", " ") for part in pair] for pair in content["model"]["merges"]]
    return content


def old_merges() -> Content:
    """Merges as lines, one of them twice; members in alphabetical order, the merges before their vocabulary."""
    content = demo_content()
    lines = [" ".join(pair) for pair in content["model"]["merges"]]
    content["model"]["merges"] = [*lines, lines[3], lines[40]]
    sorted_content: Content = json.loads(json.dumps(content, sort_keys=True))
    return sorted_content


ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "àâäçéèêëîïôöùûüÿñßøåæœžščřłđ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةء\u064b\u0651\u200f",
    "אבגדהוזחטיכךלמםנןסעפףצץקרשת\u05b0\u05b8",
    "अआइईउऊऋएऐओऔकखगघचछजझटठडढतथदधनपफबभमयरलवशषसह\u093e\u093f\u0940\u094d\u0902",
    "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอฮ\u0e31\u0e34\u0e48\u0e49",
    "漢字仮名交文日本語中国人民学校水火山川",
    "あいうえおかきくけこアイウエオカキクケコー、。",
    "가나다라마바사아자차카타파하한국어말\u1112\u1161\u11ab",
    "0123456789",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "\u0300\u0301\u0302\u0308\u0327\u0338\u20dd\ufe0f",
    "\x00\x01\x07\x08\x0b\x0c\x1b\x1c\x1f\x7f\x80\x85\x9f",
    "\u00a0\u1680\u2003\u2009\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff",
    "\ufffd\ufffe\uffff\ue000\U0001f600\U00010348\U0010ffff\U000e0041\u2581\ud7ff",
)


CHUNKS = (
    *(
        "<|turn>",
        "<turn|>",
        "<|turn>model\n",
        "<bos>",
        "<eos>",
        "<pad>",
        "<unk>",
        "<|channel>",
        "<channel|>",
        "<|tool>",
    ),
    *(
        "<|turn",
        "turn|>",
        "<0x0A>",
        "<0xE2>",
        "<0x+1>",
        "<unused5>",
        "<unused99>",
        "<|image|>",
        "<start_of_turn>",
        "<<|turn>>",
    ),
    *("👩🏽\u200d🚀", "🇱🇻", "1️⃣", "👨\u200d👩\u200d👧\u200d👦", "é", "e\u0301", "Å", "A\u030a", "ﬁ", "각", "각"),
    *(
        "def f(x):\n    return x ** 2\n",
        "if (a && b) { c[i] += 1; }\n",
        "https://a.b/c?d=%20",
        "\r\n",
        "{{ x }}",
        "▁",
        "▁▁",
    ),
    *(
        "<left>",
        " <left> ",
        "<right>  \n",
        " <both>\t",
        " word ",
        "words",
        "aword",
        "word_",
        "a b",
        " c",
        "the water",
        "<0x41>",
    ),
)


@cache
def texts() -> tuple[str, ...]:
    draw, spoken = random.Random(20261130), list(sentences())
    out = ["", " ", "\n", "a" * 3000, " " * 1000, "\n" * 1000, "e\u0301" * 500, "<|turn>" * 300, "<" * 2000]
    while len(out) < TEXTS:
        parts: list[str] = []
        for _ in range(draw.randrange(1, 6)):
            kind = draw.random()
            if kind < 0.3:
                parts.append(draw.choice(spoken))
            elif kind < 0.7:
                parts.append("".join(draw.choices(draw.choice(ALPHABETS), k=draw.randrange(1, 12))))
            elif kind < 0.85:
                parts.append(draw.choice(CHUNKS))
            elif kind < 0.95:
                parts.append(draw.choice((" ", "\n", "\t")) * draw.randrange(1, 6))
            else:
                parts.append("".join(chr(draw.randrange(0x20, 0xD800)) for _ in range(4)))
        out.append(draw.choice(("", " ")).join(parts))
    return tuple(out)


def put(*path: str | int, value: Any) -> Callable[[Content], None]:
    """Puts a value into a file's content at a place."""

    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


def write(folder: Path, content: Content | str) -> Path:
    file = folder / "tokenizer.json"
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    file.write_text(text, "utf-8")
    return file


def differing(found: list[Any], wanted: list[Any], given: Any) -> list[Any]:
    """The first few that are not alike, with what they were made from."""
    assert len(found) == len(wanted)
    return [trio for trio in zip(found, wanted, given, strict=True) if trio[0] != trio[1]][:3]
