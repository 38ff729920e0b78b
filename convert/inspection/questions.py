"""Are a checkpoint's evaluation questions what the judge will take? Its own reader answers, before any work."""

from __future__ import annotations

from pathlib import Path

from convert.errors import CheckpointError, PlanError

FILES = ("evaluation.jsonl", "accuracy.json")


def check_questions(folder: Path, asked: str, given: Path | None = None, count: int | None = None) -> None:
    """Refuses questions that the judge would refuse after the conversion.

    Args:
        given: a file of questions to ask instead of the checkpoint's own.
        count: how many of them are wanted.

    Raises:
        CheckpointError: names the file, the line and the field.
        PlanError: the same of a file that was given, or there are no questions to draw from.
    """
    if given is not None:
        check_given(folder, asked, given)
    elif count is not None and not (folder / FILES[0]).is_file():
        found = f"--questions {count}, and the checkpoint brings no questions"
        raise PlanError(asked, found, "Give a file of questions with --evaluation")
    if not any((folder / name).is_file() for name in FILES):
        return
    from runtime_tests.errors import InputError
    from runtime_tests.questions.evaluation import read_evaluation

    try:
        read_evaluation(folder)
    except InputError as error:
        raise CheckpointError(asked, str(error), "Mend the file, or remove it: rung 4 is then left out") from error


def check_given(folder: Path, asked: str, given: Path) -> None:
    """Refuses a file of questions that the judge would refuse.

    Raises:
        PlanError: names the line and the field.
    """
    from runtime_tests.errors import InputError
    from runtime_tests.questions.evaluation import read_evaluation

    try:
        read_evaluation(folder, given)
    except InputError as error:
        advice = "Mend the file; runtime_tests/schema/evaluation.schema.json says what a line holds"
        raise PlanError(asked, f"--evaluation {error}", advice) from error


def count_questions(folder: Path, given: Path | None = None, count: int | None = None) -> int:
    """About how many questions rung 4 asks; the arguments are those of :func:`check_questions`."""
    path = folder / FILES[0] if given is None else given
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        found = sum(bool(line.strip()) for line in file)
    return found if count is None else min(found, count)
