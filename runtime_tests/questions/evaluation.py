"""Evaluation questions, and what a training run recorded about its own models on them.

``evaluation.jsonl`` holds one question a line (``schema/evaluation.schema.json``); so does any file given instead. The
first line may hold what the questions have in common. ``accuracy.json`` holds outcomes of models that are not in the
checkpoint (the float model before QAT, its naive requantization), bound to the questions by SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from runtime_tests.errors import InputError
from runtime_tests.measures.statistics import Outcomes
from runtime_tests.questions.matching import LETTERS, Kind, matches, normalized, number
from runtime_tests.readers.regular import read_regular

QUESTIONS, ACCURACY = "evaluation.jsonl", "accuracy.json"
MOST_BYTES, MOST_QUESTIONS = 16 << 20, 20_000
LONGEST = 4096  # tokens of an answer
# Tokens of an answer of a kind, where nothing else is said. Other kinds: the longest right answer and a few more.
USUAL_LENGTH = {"contains": 128, "number": 256, "choice": 32}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Part = TypeVar("_Part", bound=_Strict)
_Text = Annotated[str, Field(min_length=1, max_length=20_000)]
_Answer = Annotated[str, Field(min_length=1, max_length=2_000)]
_Family = Annotated[str, Field(pattern=r"^[\w -]{1,40}$")]
_Choices = Annotated[str, Field(pattern=r"^[A-Z]{2,26}$", description="the letters to choose from, such as ABCD")]
_Length = Annotated[int, Field(ge=1, le=LONGEST, description="tokens of an answer, at most")]


class Message(_Strict):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: _Text


class Turn(_Strict):
    """One turn of a conversation; only the first may be the system's."""

    role: Literal["system", "user", "assistant"]
    content: _Text


class Common(_Strict):
    """What the questions of a file have in common, unless they say otherwise themselves."""

    match: Kind | None = None
    choices: _Choices | None = None
    max_tokens: _Length | None = None
    family: _Family | None = None
    system: _Text | None = Field(default=None, description="a system message before every conversation that has none")


class Defaults(_Strict):
    """The first line of a file, where it has one."""

    defaults: Common


class Question(_Strict):
    """A conversation that ends with the user, and what is right to answer.

    There is either ``messages`` or ``prompt``, either ``answer`` or ``answers``. matching.py says what each kind of
    ``match`` means; ``exact`` has one answer.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"oneOf": [{"required": ["messages"]}, {"required": ["prompt"]}]},
                {"oneOf": [{"required": ["answer"]}, {"required": ["answers"]}]},
            ]
        }
    )

    id: Annotated[str, Field(pattern=r"^[\w.:/-]{1,100}$", description="default: line-7, by its line")] = ""
    family: _Family = Field("questions", description="accuracy is also told by family")
    messages: Annotated[list[Turn], Field(min_length=1, max_length=64)] | None = None
    prompt: _Text | None = Field(default=None, description="the same as one message of the user")
    answer: _Answer | None = None
    answers: Annotated[list[_Answer], Field(min_length=1, max_length=100)] | None = None
    match: Kind = Field("exact", description="default: exact with answer, one_of with answers")
    choices: _Choices = LETTERS
    max_tokens: _Length | None = None

    @model_validator(mode="after")
    def _askable(self) -> Question:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("give either messages or prompt")
        if (self.answer is None) == (self.answers is None):
            raise ValueError("give either answer or answers")
        roles = [message.role for message in self.turns]
        if "system" in roles[1:]:
            raise ValueError("only the first message may be the system's")
        if roles[-1] != "user":
            raise ValueError("the last message must be the user's")
        wrong = next((found for text in self.accepted if (found := self._unmatchable(text))), None)
        if wrong:
            raise ValueError(wrong)
        if self.match == "exact" and len(self.accepted) > 1:
            raise ValueError("exact takes one answer; use match one_of")
        return self

    def _unmatchable(self, answer: str) -> str | None:
        """Why no text would ever match an answer."""
        if self.match in ("exact", "one_of") and answer != answer.strip():
            return "the answer has spaces around it; an exact match is never found"
        if self.match == "contains" and not normalized(answer):
            return "the answer is nothing but white space"
        if self.match == "number" and number(answer) is None:
            return "the answer is no number"
        if self.match == "choice" and not (len(answer) == 1 and answer in self.choices):
            return f"the answer is none of the letters {self.choices}"
        return None

    @property
    def turns(self) -> list[Turn]:
        """The conversation."""
        return self.messages or [Turn(role="user", content=self.prompt or "")]

    @property
    def accepted(self) -> list[str]:
        """Right answers, the first of which is shown."""
        return self.answers or [self.answer or ""]

    def right(self, text: str) -> bool:
        """Whether an answer is right."""
        return matches(self.match, text, self.accepted, self.choices)


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
        questions: those that are asked.
        recorded: by name, such as ``float`` and ``ptq``.
        total: questions in the file.
        own: whether they are the checkpoint's, and all of them. A set from elsewhere need not suit the model, and a few
            questions show little.
    """

    name: str
    sha256: str
    questions: tuple[Question, ...]
    recorded: dict[str, Recorded]
    total: int
    own: bool = True

    def drawn(self, count: int) -> Evaluation:
        """So many of the questions, in their order; all when there are no more.

        The draw depends on the file and on nothing else: those with the smallest SHA-256 of file and line.
        """
        if count >= len(self.questions):
            return self
        digests = [hashlib.sha256(f"{self.sha256}:{i}".encode()).digest() for i in range(len(self.questions))]
        places = np.array(sorted(sorted(range(len(digests)), key=digests.__getitem__)[:count]))
        recorded = {name: Recorded(item.description, item.correct[places]) for name, item in self.recorded.items()}
        return replace(self, questions=tuple(self.questions[i] for i in places), recorded=recorded, own=False)


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
    own = given is None or _same(folder / QUESTIONS, digest)
    if found is None or (given is not None and found.questions_sha256 != digest):
        return Evaluation(path.name, digest, questions, {}, len(questions), own)
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
    return Evaluation(path.name, digest, questions, recorded, len(questions), own)


def _same(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(_bytes(path)).hexdigest() == digest


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path.name}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
        return read_regular(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _questions(name: str, data: bytes) -> tuple[Question, ...]:
    try:
        lines = data.decode("utf-8-sig").split("\n")  # and at nothing else that Unicode calls the end of a line
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from error
    common, start = _common(name, lines)
    numbered = [(place, line) for place, line in enumerate(lines, 1) if place > start and line.strip()]
    if not 0 < len(numbered) <= MOST_QUESTIONS:
        raise InputError(f"{name}: {len(numbered)} questions; expected 1 to {MOST_QUESTIONS}")
    out: dict[str, Question] = {}
    for place, line in numbered:
        question = _question(f"{name}, line {place}", line, common)
        question = question if question.id else question.model_copy(update={"id": f"line-{place}"})
        if question.id in out:
            raise InputError(f"{name}, line {place}: id {question.id!r} comes twice")
        out[question.id] = question
    return tuple(out.values())


def _common(name: str, lines: list[str]) -> tuple[Common, int]:
    """What the first line says of all questions, and how many lines come before them."""
    if lines and lines[0].lstrip().startswith("{") and _keys(lines[0]) == {"defaults"}:
        return _parsed(Defaults, f"{name}, line 1", lines[0]).defaults, 1
    return Common(), 0


def _keys(line: str) -> set[str]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return set()
    return set(found) if isinstance(found, dict) else set()


def _question(where: str, line: str, common: Common) -> Question:
    """A question with what its file says of all."""
    shared = common.model_dump(exclude_none=True)
    given = _keys(line)
    if not given:
        return _parsed(Question, where, line)  # which says what is wrong
    content: dict[str, Any] = json.loads(line)
    usual = {} if content.get("answers") is None else {"match": "one_of"}
    system = shared.pop("system", None)
    content = {**usual, **shared, **content}
    question = _parsed(Question, where, json.dumps(content))
    if system is None or question.turns[0].role == "system":
        return question
    turns = [Turn(role="system", content=system), *question.turns]
    return question.model_copy(update={"messages": turns, "prompt": None})


def _record(path: Path) -> _Accuracy:
    return _parsed(_Accuracy, f"{path.parent.name}/{path.name}", _bytes(path))


def _parsed(kind: type[_Part], where: str, text: str | bytes) -> _Part:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise InputError(f"{where}: {field}: {first['msg']}") from error


def schema() -> str:
    """The bytes of schema/evaluation.schema.json: of one line."""
    made = TypeAdapter(Defaults | Question).json_schema()
    return json.dumps({"title": "A line of an evaluation file", **made}, indent=2, sort_keys=True) + "\n"
