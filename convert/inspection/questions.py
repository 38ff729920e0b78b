"""Are a checkpoint's evaluation questions what the judge will take? Its own reader answers, before any work."""

from __future__ import annotations

from pathlib import Path

from convert.errors import CheckpointError

FILES = ("evaluation.jsonl", "accuracy.json")


def check_questions(folder: Path, asked: str) -> None:
    """Refuses questions that the judge would refuse after the conversion.

    Raises:
        CheckpointError: names the file, the line and the field.
    """
    if not any((folder / name).is_file() for name in FILES):
        return
    from runtime_tests.errors import InputError
    from runtime_tests.evaluation import read_evaluation

    try:
        read_evaluation(folder)
    except InputError as error:
        raise CheckpointError(asked, str(error), "Mend the file, or remove it: rung 4 is then left out") from error


def count_questions(folder: Path) -> int:
    """How many questions rung 4 asks of a checkpoint that brings some."""
    path = folder / FILES[0]
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(bool(line.strip()) for line in file)
