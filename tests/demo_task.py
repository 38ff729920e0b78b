"""What the demo's static activations are worth, on its own questions and on harder ones: ``python -m tests.demo_task``.

Each question is put to the embedded checkpoint in transformers, its right answer behind it: greedy decoding answers
right exactly where every token of that is the first choice. The same again without the static activation scales, and
with steps that are two to sixteen times as coarse, which says how far the rounding is from costing anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from convert import demo
from convert.demo.train import almanac, backwards, sums
from convert.demo.train.questions import Turn
from runtime_tests.measures import metrics
from runtime_tests.measures.statistics import paired, wilson
from runtime_tests.reference.model import Reference

COARSER = (2, 4, 8, 16)
END = "<turn|>"


@dataclass(frozen=True)
class Question:
    """A conversation with the right answer to its last turn."""

    before: tuple[Turn, ...]
    last: Turn


@dataclass(frozen=True)
class Outcome:
    """What a system made of a set of questions.

    Attributes:
        right: by question.
        margins: of every token of every answer: how far the best one lies before the second, in logits.
        logits: of the same tokens, ``[tokens, V]``.
    """

    right: NDArray[np.bool_]
    margins: NDArray[np.float64]
    logits: NDArray[np.float32]


def sets(count: int) -> dict[str, list[Question]]:
    """Questions by kind, at most ``count`` of each: the demo's own first, then ones that nobody trained it for."""
    random = np.random.default_rng(13)
    own = [json.loads(line) for line in (demo.folder() / "evaluation.jsonl").read_text("utf-8").splitlines()]
    pool = [Question((), exam.last) for exam in sums.Sums().exams()]
    book = almanac.Almanac()
    talk = [turn for _ in range(40) for turn in book.draw(random)]

    def spelled(letters: int) -> Question:
        word = ""
        while len(word) < letters:
            word += backwards.made_up(random)
        word = word[:letters]
        return Question((), Turn(backwards.PHRASINGS[0].format(word), word[::-1]))

    def number(low: int, high: int) -> int:
        return int(random.integers(low, high))

    def longer() -> Question:
        a, b = number(100, 500), number(100, 500)
        return Question((), Turn(f"What is {a} + {b}?", str(a + b)))

    def chained() -> Question:
        a, b, c = (number(10, 34) for _ in range(3))
        return Question((), Turn(f"What is {a} + {b} + {c}?", str(a + b + c)))

    def late() -> Question:
        start = int(random.integers(0, len(talk) - 6))
        return Question(tuple(talk[start : start + 6]), pool[int(random.integers(0, len(pool)))].last)

    chosen = sorted(random.permutation(len(pool))[:count])
    return {
        "its own questions": [_own(entry) for entry in own][:count],
        "all held-out sums": [pool[i] for i in chosen],
        "words of 7 letters": [spelled(7) for _ in range(count)],
        "words of 8 letters": [spelled(8) for _ in range(count)],
        "numbers of 3 digits": [longer() for _ in range(count)],
        "3 numbers": [chained() for _ in range(count)],
        "sums after 6 turns": [late() for _ in range(count)],
    }


def _own(entry: dict[str, Any]) -> Question:
    said = [message["content"] for message in entry["messages"]]
    before = tuple(Turn(a, b) for a, b in zip(said[0:-1:2], said[1:-1:2], strict=True))
    return Question(before, Turn(said[-1], entry["answer"]))


def encode(tokenizer: Any, question: Question) -> tuple[NDArray[np.int32], int]:
    """Token ids of prompt and answer, and how many of them are the prompt's."""
    messages = []
    for turn in question.before:
        messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    messages.append({"role": "user", "content": question.last.question})
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    said = tokenizer(question.last.answer + END, add_special_tokens=False).input_ids
    return np.array([*ids, *said], np.int32), len(ids)


def answer(reference: Reference, asked: Sequence[tuple[NDArray[np.int32], int]]) -> Outcome:
    """Reads every answer in one pass."""
    rows: dict[int, NDArray[np.float32]] = {}
    # The last token's successor is nobody's business.
    for i, logits, _ in reference.many([ids[:-1] for ids, _ in asked], [first - 1 for _, first in asked]):
        rows[i] = logits
    ordered = [rows[i] for i in range(len(asked))]
    right = [bool((found.argmax(-1) == ids[first:]).all()) for found, (ids, first) in zip(ordered, asked, strict=True)]
    logits = np.concatenate(ordered)
    return Outcome(np.array(right), metrics.margins(logits), logits)


def compare(plain: Outcome, other: Outcome) -> str:
    """Lost and gained questions, and how far logits moved beside the margins."""
    found = paired(plain.right, other.right)
    moved = np.abs(plain.logits - other.logits).max(-1)
    decided = float(np.mean(plain.margins > 2 * moved))
    return (
        f"{100 * np.mean(other.right):.1f} % (lost {found.lost}, gained {found.gained}, p = {found.p:.2g}); "
        f"logits move by {np.median(moved):.2g}, 99 % by less than {np.quantile(moved, 0.99):.2g}; "
        f"{100 * decided:.1f} % of tokens have a margin of more than twice that"
    )


def main(
    count: Annotated[int, typer.Option(min=1, help="Questions of each kind, at most.")] = 200,
    checkpoint: Annotated[Path | None, typer.Option(help="Another mobile checkpoint. [default: the demo]")] = None,
) -> None:
    """Prints what leaving the static activations out, or making them coarser, costs on each kind of question."""
    from transformers import AutoTokenizer

    folder = checkpoint or demo.folder()
    tokenizer, reference = AutoTokenizer.from_pretrained(folder), Reference(folder, 1)
    for name, questions in sets(count).items():
        asked = [encode(tokenizer, question) for question in questions]
        plain = answer(reference, asked)
        low, high = wilson(sum(plain.right), len(plain.right))
        typer.echo(
            f"{name}: {100 * np.mean(plain.right):.1f} % of {len(asked)} ({100 * low:.1f} - {100 * high:.1f} %), "
            f"median margin {np.median(plain.margins):.2g}, a twentieth below {np.quantile(plain.margins, 0.05):.2g}"
        )
        with reference.activation_steps(0):
            typer.echo(f"  without static activations: {compare(plain, answer(reference, asked))}")
        for times in COARSER:
            with reference.activation_steps(times):
                typer.echo(f"  steps times {times}: {compare(plain, answer(reference, asked))}")


if __name__ == "__main__":
    typer.run(main)
