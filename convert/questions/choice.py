"""Multiple choice, such as MMLU, TinyMMLU and ARC: ``question``, ``choices`` and ``answer``.

``choices`` is a list, a list of texts with labels (ARC), or a column for each letter; MMLU's own CSV files have no
heading: question, four choices, letter. ``answer`` is an index from 0, a label, a letter, or the right choice's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from convert.questions.rows import Row

LETTERS = "ABCDEFGHIJ"
PROMPT = "{question}\n\n{choices}\n\nAnswer with the letter of the right choice alone."


def lines(rows: Iterator[Row]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the questions have in common, and the questions."""
    return {"match": "choice"}, [_line(row) for row in rows]


def _line(row: Row) -> dict[str, Any]:
    choices, labels = _choices(row)
    if not 2 <= len(choices) <= len(LETTERS):
        raise row.refused(f"{len(choices)} choices; expected 2 to {len(LETTERS)}")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise row.refused("a choice is no text")
    letters = LETTERS[: len(choices)]
    shown = "\n".join(f"{letter}. {choice.strip()}" for letter, choice in zip(letters, choices, strict=True))
    prompt = PROMPT.format(question=row.text("question", "0"), choices=shown)
    out = {"prompt": prompt, "answer": letters[_answer(row, choices, labels)], "choices": letters}
    family = row.get("subject", "category")
    return out | ({"family": _family(family)} if isinstance(family, str) and family.strip() else {})


def _choices(row: Row) -> tuple[list[Any], list[str]]:
    """The choices and what the file calls them; letters where it calls them nothing."""
    found = row.get("choices", "options")
    if isinstance(found, dict):  # as ARC has them
        texts, labels = found.get("text"), found.get("label")
        if not isinstance(texts, list) or not isinstance(labels, list) or len(texts) != len(labels):
            raise row.refused("choices has no text and label of one length")
        return texts, [str(label) for label in labels]
    if found is None:
        last = max((int(name) for name in row.fields if name.isdigit()), default=0)
        names = [str(i) for i in range(1, last)] if "0" in row.fields else [letter.lower() for letter in LETTERS]
        found = [row.fields[name] for name in names if row.fields.get(name) not in (None, "")]
    if not isinstance(found, list) or not found:
        raise row.refused("choices is no list, and there is no column for each letter")
    return found, list(LETTERS[: len(found)])


def _answer(row: Row, choices: list[Any], labels: list[str]) -> int:
    """The index of the right choice."""
    last = str(max((int(name) for name in row.fields if name.isdigit()), default=-1))
    given = row.get("answer", "answerkey", "label", last)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(choices):
        return given
    text = str(given).strip() if isinstance(given, str) else ""
    label = text if text in labels else text.upper()
    if labels.count(label) == 1:
        return labels.index(label)
    found = {i for i, choice in enumerate(choices) if choice.strip() == text}
    found |= {int(text)} & {*range(len(choices))} if text.isascii() and text.isdigit() else set()
    if len(found) == 1:
        return found.pop()
    said = "missing" if given is None else f"{str(given)[:40]!a}"
    what = "means two choices" if found else "is none of the choices"
    raise row.refused(f"answer {said} {what}; expected an index from 0, a letter or a choice's text")


def _family(text: str) -> str:
    return re.sub(r"[^\w -]+", " ", text).strip()[:40].strip() or "questions"
