"""GSM8K and sets of its form: ``question``, and an ``answer`` that ends with ``#### 42``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.questions.rows import Row

PROMPT = "{question}\n\nThink step by step, then end with the answer as a number."
MAX_TOKENS = 512
MARK = "####"


def lines(rows: Iterator[Row]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the questions have in common, and the questions."""
    common = {"match": "number", "max_tokens": MAX_TOKENS, "family": "gsm8k"}
    return common, [_line(row) for row in rows]


def _line(row: Row) -> dict[str, Any]:
    answer = row.text("answer")
    _, mark, number = answer.rpartition(MARK)
    if not mark or not number.strip():
        raise row.refused(f"answer has no number behind {MARK}")
    return {"prompt": PROMPT.format(question=row.text("question")), "answer": number.strip()}
