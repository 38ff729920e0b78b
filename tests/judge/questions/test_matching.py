"""The kinds of match of an evaluation file, on answers as models write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_tests.questions.matching import contains, first_choice, last_number, matches, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("#### 42", "42"),
        ("So she pays $1,234.50.", "1234.50"),
        ("5 - 3 = 2", "2"),
        ("5-3", "3"),  # an operator, for a digit stands before it
        ("x = -3", "-3"),
        ("x = \u22123", "-3"),
        ("(-4)", "-4"),
        ("a loss of -$5", "-5"),
        ("\u20ac-5", "-5"),
        ("12,34,567 rupees", "1234567"),
        ("1,2,3", "3"),
        ("either 1,5 or 2,5", "5"),
        ("100,000.", "100000"),
        ("It is 50%", "50"),
        ("1.5e3", "1500"),
        (".5", "0.5"),
        ("1/2", "2"),
        ("3\u00b2", "3"),  # a superscript is no digit of the number
        ("\u0663\u0664", "34"),  # Arabic digits
        ("\uff14\uff12", "42"),  # full width
        ("The answer is 42 (see step 3)", "3"),  # the rule is the last one, and says so
    ],
)
def test_the_last_number_is_read_as_people_write_it(text: str, value: str) -> None:
    assert last_number(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "none", "-", ".", ",", "$", "1e999999999999999999999999"])
def test_a_text_without_a_number_is_never_right(text: str) -> None:
    assert last_number(text) is None
    assert not matches("number", text, ["0"])


@given(st.integers(-(10**12), 10**12))
def test_any_number_survives_commas_currency_and_words(value: int) -> None:
    for text in (f"about {value:,} in all.", f"{value}", f"= {value:,}$!", f"{value}.0"):
        assert last_number(text) == value
    assert matches("number", f"It is {value:,}.", [str(value)])


@given(st.text(max_size=60))
def test_no_text_breaks_a_match(text: str) -> None:
    for kind, right in (("exact", "a"), ("one_of", "a"), ("contains", "a"), ("number", "1"), ("choice", "A")):
        assert matches(kind, text, [right]) in (True, False)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["about 3", "3 apples", "1 2", "", "1e99999999999999999999", "1.2.3", "1-2"])
def test_what_is_more_than_a_number_is_no_accepted_number(text: str) -> None:
    assert number(text) is None


def test_numbers_are_compared_as_numbers() -> None:
    assert matches("number", "3.0", ["3"])
    assert matches("number", "it is 3", ["$3.00"])
    assert not matches("number", "30", ["3"])


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("**C**", "C"),
        ("The answer is (B).", "B"),
        ("Answer:D", "D"),
        ("B) Paris", "B"),
        ("not A but B", "A"),
        ("I'd go with D", "D"),
        ("A good one is B", "A"),  # the rule is the first one, and says so
        ("b) Paris", None),
        ("option_B", None),
        ("B2", None),
        ("D\u2019s", None),
        ("ABCD", None),
        ("E", None),
        ("", None),
        ("Because of cats", None),
    ],
)
def test_the_first_letter_that_stands_alone_is_the_choice(text: str, letter: str | None) -> None:
    assert first_choice(text, "ABCD") == letter


def test_the_pronoun_is_no_choice_where_it_is_no_letter_of_the_question() -> None:
    assert first_choice("I think C", "ABCD") == "C"
    assert first_choice("I think C", "ABCDEFGHI") == "I"
    assert first_choice("I'm for C", "ABCDEFGHI") == "C"


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        ("It is PARIS.", "Paris", True),
        ("Parisian", "Paris", False),
        ("unParis", "Paris", False),
        ("Parisian, no: Paris", "Paris", True),
        ("new\n  york", "New York", True),
        ("42", "4", False),
        ("4.", "4", True),
        ("STRASSE", "stra\u00dfe", True),
        ("Cafe\u0301", "caf\u00e9", True),
        ("\u6771\u4eac\u90fd\u3067\u3059", "\u6771\u4eac", True),  # no spaces between words
        ("C++ is", "C++", True),
        ("-Paris-", "Paris", True),
        ("", "Paris", False),
    ],
)
def test_an_answer_is_contained_as_a_whole_word(text: str, answer: str, found: bool) -> None:
    assert contains(text, answer) is found


def test_exact_and_one_of_leave_only_the_spaces_around_aside() -> None:
    assert matches("exact", " Paris\n", ["Paris"])
    assert not matches("exact", "Paris.", ["Paris"])
    assert not matches("exact", "paris", ["Paris"])
    assert matches("one_of", "Lutetia", ["Paris", "Lutetia"])
