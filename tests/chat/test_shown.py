"""What of an answer a terminal gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.chat.settings import Settings
from convert.chat.shown import shown
from convert.chat.talk import Talk
from tests.support.chat import forged_answers
from tests.support.chat import scripted_engine as scripted
from tests.support.commands import QUICK, convert


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family: joined by U+200D
        "\u2764\ufe0f",  # variation selector
        "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",  # Persian: zero-width non-joiner
        "10\u00a0km, 5\u202fkg",  # no-break spaces
        "\u200f\u05e9\u05dc\u05d5\u05dd\u200e \u2067\u05d0\u2069",  # direction marks and isolates
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # tags: the flag of England
        "soft\u00adhyphen, word\u2060joiner, \ufeffmark",
        "\ue000\U0001fa8e",  # private use, and an emoji newer than this Python's tables
        "line\nand\ttab",
    ],
)
def test_what_text_needs_is_shown(text: str) -> None:
    assert shown(text) == text


def test_what_steers_a_terminal_or_turns_text_round_is_not() -> None:
    assert shown("a\x1b[2Jb\x07\r\x9b1m\x7f\u202ec\u202d\ud800") == "a[2Jb1mc"
    assert not any(shown(chr(code)) for code in (*range(9), *range(11, 32), *range(127, 160)))


def said(*pieces: str, limit: int = 9) -> str:
    engine = scripted.Engine([scripted.text(*pieces)])
    return "".join(Talk(engine.opened(), Settings(False, limit, 1)).say("?"))


def test_an_answer_is_cleaned_as_it_streams() -> None:
    assert said("a\x1b[2Jb\n", "\x07\u00e9") == "a[2Jb\n\u00e9"


def test_bytes_of_a_character_that_was_cut_are_not_shown() -> None:
    assert said("ab", "\ufffd\ufffd", limit=2) == "ab"
    assert said("ab", "\ufffd\ufffd") == "ab\ufffd\ufffd"  # an answer that ends by itself has them as it wrote them
    assert said("ab\ufffd", "c", limit=2) == "ab\ufffdc"


def test_a_joiner_gets_through_the_stock_engine_and_the_program(tmp_path: Path) -> None:
    folder = forged_answers.write(tmp_path / "joiner", ("<0xE2>", "<0x80>", "<0x8D>"))
    model = tmp_path / "joiner.litertlm"
    assert convert("convert", folder, model, *QUICK).code == 0
    assert convert("chat", model, "--ask", forged_answers.QUESTION).out == "\u200d\n"
    assert convert("chat", model, "--ask", forged_answers.QUESTION, "--limit", "2").out == "\n"
