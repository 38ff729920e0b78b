"""When an answer counts as right: the kinds of match of an evaluation file, as pure functions of text.

``exact`` and ``one_of``: the text equals an accepted answer; white space around it aside.
``contains``: an accepted answer occurs in the text. Both are taken in Unicode's NFC, without case, each run of white
space as one space. It may not be a part of a longer word or number: a letter that has a case, or a digit, at either end
of the answer may not stand beside another such letter or digit. (Scripts without case do not put spaces between words.)
``number``: the last number of the text equals an accepted one, as numbers: ``3`` and ``3.0`` are the same. Signs of
currencies are removed, and commas between groups of digits (``1,234`` and ``12,34,567``); a percent sign does not
matter. A minus (also U+2212) counts unless a letter, a digit or a closing bracket stands before it. ``1.5e3`` is one
number, ``1/2`` and ``1,5`` are two.
``choice``: the first capital letter among the choices that stands alone, that is beside no letter, digit, underscore or
apostrophe. Where the text is one letter, marks around it aside, it may be a small one. (``A`` as the first word of a
sentence counts as the choice: ask for the letter only.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

Kind = Literal["exact", "one_of", "contains", "number", "choice"]
KINDS: tuple[str, ...] = get_args(Kind)
LETTERS = "ABCD"
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{2,3}){0,9},[0-9]{3}(?![0-9])|[0-9]+)"
_NUMBER = re.compile(
    rf"(?:(?<![\w)\]}}])[-\u2212+])?(?:{_DIGITS}(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+)(?:[eE][-+]?[0-9]+(?!\w))?"
)
_MARKS = " \t\r\n()[]{}*_.,:;!?\"'`$"


def matches(kind: Kind, text: str, accepted: Sequence[str], choices: str = LETTERS) -> bool:
    """Whether a text is a right answer.

    Args:
        accepted: right answers; of ``number`` numbers, of ``choice`` letters.
        choices: the letters that there are to choose from.

    >>> matches("number", "That makes $1,234.50.", ["1234.5"])
    True
    >>> matches("choice", "The answer is (B).", ["B"])
    True
    >>> matches("contains", "It is Parisian.", ["Paris"])
    False
    """
    match kind:
        case "exact" | "one_of":
            return text.strip() in accepted
        case "contains":
            return any(contains(text, answer) for answer in accepted)
        case "number":
            found = last_number(text)
            return found is not None and any(found == number(answer) for answer in accepted)
        case "choice":
            return first_choice(text, choices) in accepted


def normalized(text: str) -> str:
    """NFC, without case, each run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def contains(text: str, answer: str) -> bool:
    """Whether an answer occurs in a text, not as a part of a longer word or number."""
    where, wanted = normalized(text), normalized(answer)
    start = where.find(wanted) if wanted else -1
    while start >= 0:
        end = start + len(wanted)
        before, after = where[start - 1 : start] if start else "", where[end : end + 1]
        if not (_joins(before, wanted[0]) or _joins(wanted[-1], after)):
            return True
        start = where.find(wanted, start + 1)
    return False


def _joins(one: str, other: str) -> bool:
    return _in_words(one) and _in_words(other)


def _in_words(character: str) -> bool:
    return character.isdecimal() or character.lower() != character.upper()


def last_number(text: str) -> Decimal | None:
    """The last number in a text; None where there is none.

    >>> last_number("5 - 2 = 3, not 1,000")
    Decimal('1000')
    >>> last_number("1,5 or 2,5")
    Decimal('5')
    """
    found = _NUMBER.findall(_plain_digits(text))
    return _value(found[-1]) if found else None


def number(text: str) -> Decimal | None:
    """The number that a text is, with nothing but its currency or a percent sign around it; None for anything else.

    >>> number("$1,000"), number("about 3")
    (Decimal('1000'), None)
    """
    plain = _plain_digits(text)
    found = _NUMBER.search(plain)
    if found is None or any(c.isalnum() or c in "+-." for c in plain[: found.start()] + plain[found.end() :]):
        return None
    return _value(found[0])


def _value(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "").replace("\u2212", "-"))
    except InvalidOperation:  # an exponent without bounds
        return None


def _plain_digits(text: str) -> str:
    """Digits of any script as 0 to 9, and no currencies."""
    kept = (c for c in text if unicodedata.category(c) != "Sc")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)


def first_choice(text: str, choices: str) -> str | None:
    """The first letter among the choices that stands alone; None where there is none.

    >>> first_choice("I'd say D, not C", "ABCDI"), first_choice("b)", "ABCD"), first_choice("a cat", "ABCD")
    ('D', 'B', None)
    """
    bare = text.strip(_MARKS)
    if len(bare) == 1 and bare.upper() in choices:
        return bare.upper()
    found = re.search(rf"(?<![\w'\u2019])[{re.escape(choices)}](?![\w'\u2019])", text)
    return found[0] if found else None
