"""Evaluation questions, and what a training run recorded about its own models on them.

``evaluation.jsonl`` holds one question a line. ``accuracy.json`` holds outcomes of models that are not in the
checkpoint (the float model before QAT, its naive requantization), bound to the questions by SHA-256.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runtime_tests.errors import InputError
from runtime_tests.readers.regular import read_regular
from runtime_tests.statistics import Outcomes

QUESTIONS, ACCURACY = "evaluation.jsonl", "accuracy.json"
MOST_BYTES, MOST_QUESTIONS = 16 << 20, 20_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Part = TypeVar("_Part", bound=_Strict)


class Message(_Strict):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Field(min_length=1, max_length=20_000)]


class Question(_Strict):
    """A conversation that ends with the user, and the one right next turn."""

    id: Annotated[str, Field(pattern=r"^[\w.:/-]{1,100}$")]
    family: Annotated[str, Field(pattern=r"^[\w -]{1,40}$")]
    messages: Annotated[list[Message], Field(min_length=1, max_length=64)]
    answer: Annotated[str, Field(min_length=1, max_length=2_000)]

    @model_validator(mode="after")
    def _askable(self) -> Question:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        if self.answer != self.answer.strip():
            raise ValueError("the answer has spaces around it; an exact match is never found")
        return self


class _Recorded(_Strict):
    description: Annotated[str, Field(max_length=500)]
    correct: Annotated[str, Field(pattern="^[01]*$")]


class _Accuracy(_Strict):
    schema_version: Literal[1]
    questions_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    recorded: dict[Annotated[str, Field(pattern=r"^[\w.-]{1,40}$")], _Recorded]


@dataclass(frozen=True)
class Recorded:
    """What training says of a model: outcomes ``[N]`` in the questions' order."""

    description: str
    correct: Outcomes


@dataclass(frozen=True)
class Evaluation:
    """Questions and what is recorded about them.

    Attributes:
        name: of the questions' file.
        sha256: of its bytes.
        recorded: by name, such as ``float`` and ``ptq``.
    """

    name: str
    sha256: str
    questions: tuple[Question, ...]
    recorded: dict[str, Recorded]


def read_evaluation(folder: Path, given: Path | None = None) -> Evaluation | None:
    """Reads a checkpoint's questions, or a file given instead of them; None when there are none.

    Recorded outcomes count for the checkpoint's own questions. With a file of other questions they are left out.

    Raises:
        InputError: a line is no question, an id comes twice, or the record speaks of other questions.
    """
    path = given or folder / QUESTIONS
    if given is None and not path.is_file():
        if (folder / ACCURACY).is_file():
            raise InputError(f"{folder.name}/{ACCURACY}: it speaks of {QUESTIONS}, which is not there")
        return None
    data = _bytes(path)
    questions = _questions(path.name, data)
    digest = hashlib.sha256(data).hexdigest()
    record = folder / ACCURACY
    found = _record(record) if record.is_file() else None
    if found is None or (given is not None and found.questions_sha256 != digest):
        return Evaluation(path.name, digest, questions, {})
    if found.questions_sha256 != digest:
        said = f"{found.questions_sha256[:12]}..., {path.name} has {digest[:12]}..."
        raise InputError(f"{folder.name}/{ACCURACY}: its outcomes are of questions with SHA-256 {said}")
    for name, item in sorted(found.recorded.items()):
        if len(item.correct) != len(questions):
            counts = f"{len(item.correct)} outcomes, {path.name} has {len(questions)} questions"
            raise InputError(f"{folder.name}/{ACCURACY}: {name} has {counts}")
    recorded = {
        name: Recorded(item.description, np.array([digit == "1" for digit in item.correct], bool))
        for name, item in sorted(found.recorded.items())
    }
    return Evaluation(path.name, digest, questions, recorded)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path.name}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
        return read_regular(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _questions(name: str, data: bytes) -> tuple[Question, ...]:
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from error
    if not 0 < len(lines) <= MOST_QUESTIONS:
        raise InputError(f"{name}: {len(lines)} questions; expected 1 to {MOST_QUESTIONS}")
    out: dict[str, Question] = {}
    for number, line in enumerate(lines, 1):
        question = _parsed(Question, f"{name}, line {number}", line)
        if question.id in out:
            raise InputError(f"{name}, line {number}: id {question.id!r} comes twice")
        out[question.id] = question
    return tuple(out.values())


def _record(path: Path) -> _Accuracy:
    return _parsed(_Accuracy, f"{path.parent.name}/{path.name}", _bytes(path))


def _parsed(kind: type[_Part], where: str, text: str | bytes) -> _Part:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise InputError(f"{where}: {field}: {first['msg']}") from error
