"""How long an evaluation will take: by the model's size before anything has run, by what was measured afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_tests.progress import duration

# Of one core and of this project's files: a token that is written reads every weight once, those that are read go in
# batches. Rough on purpose; the first answers say it better.
BYTES_A_SECOND = 10e9
READING = 16  # so many tokens are read while one is written


def line(name: str, lengths: Sequence[int], limits: Sequence[int], weight_bytes: int) -> str:
    """What is asked, and how long the artifact will take at most, in words.

    Args:
        lengths: tokens of the questions.
        limits: tokens of the answers, at most.
        weight_bytes: what the decoder reads for a token.

    >>> line("sums.jsonl", [30] * 100, [10] * 100, 10**9)
    '100 questions of sums.jsonl: 3000 tokens to read and at most 1000 to write, about 2 min by the size of the model'
    """
    seconds = work(sum(lengths), sum(limits)) * weight_bytes / BYTES_A_SECOND
    time = "less than a minute" if seconds < 60 else f"about {duration(seconds)}"
    what = f"{sum(lengths)} tokens to read and at most {sum(limits)} to write"
    return f"{len(lengths)} questions of {name}: {what}, {time} by the size of the model"


def work(read: int, written: int) -> float:
    """Tokens that are read and written, in those that are written."""
    return written + read / READING
