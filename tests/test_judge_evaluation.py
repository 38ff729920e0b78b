"""Evaluation questions and recorded outcomes: what is read, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import questions

from convert.checkpoint import open_checkpoint, with_digests
from runtime_tests.errors import InputError
from runtime_tests.evaluation import read_evaluation


def entry(**changes: Any) -> dict[str, Any]:
    return {"id": "q0", "family": "sums", "messages": questions.messages(1), "answer": "8"} | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three questions."""
    write(tmp_path, *(entry(id=f"q{i}") for i in range(3)))
    return tmp_path


def write(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "evaluation.jsonl").write_text("".join(json.dumps(item) + "\n" for item in entries), "utf-8")


def refused(folder: Path, given: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_evaluation(folder, given)
    return str(caught.value)


def test_a_checkpoint_without_questions_has_no_evaluation(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path) is None


def test_recorded_outcomes_are_read_in_the_questions_order(folder: Path) -> None:
    questions.record(folder, float="110", ptq="001")
    found = read_evaluation(folder)
    assert found is not None
    assert [item.id for item in found.questions] == ["q0", "q1", "q2"]
    assert found.recorded["ptq"].correct.tolist() == [False, False, True]


def test_outcomes_of_other_questions_are_refused(folder: Path) -> None:
    questions.record(folder, float="110")
    write(folder, entry(answer="9"), entry(id="q1"), entry(id="q2"))
    assert "accuracy.json: its outcomes are of questions with SHA-256" in refused(folder)


def test_outcomes_of_another_number_of_questions_are_refused(folder: Path) -> None:
    questions.record(folder, float="1101")
    assert refused(folder).endswith("accuracy.json: float has 4 outcomes, evaluation.jsonl has 3 questions")


def test_outcomes_without_their_questions_are_refused(folder: Path) -> None:
    questions.record(folder, float="110")
    (folder / "evaluation.jsonl").unlink()
    assert "it speaks of evaluation.jsonl, which is not there" in refused(folder)


def test_other_questions_leave_the_recorded_outcomes_out(folder: Path, tmp_path: Path) -> None:
    questions.record(folder, float="110")
    other = tmp_path / "other"
    other.mkdir()
    write(other, entry())
    found = read_evaluation(folder, other / "evaluation.jsonl")
    assert found is not None
    assert (len(found.questions), found.recorded) == (1, {})


def test_the_same_questions_from_elsewhere_keep_them(folder: Path, tmp_path: Path) -> None:
    questions.record(folder, float="110")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((folder / "evaluation.jsonl").read_bytes())
    found = read_evaluation(folder, copy)
    assert found is not None
    assert list(found.recorded) == ["float"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer": " 8"}, "the answer has spaces around it"),
        ({"answer": ""}, "answer: String should have at least 1 character"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "assistant", "content": "8"}]}, "the last message must be the user's"),
        ({"messages": [{"role": "system", "content": "8"}]}, "the last message must be the user's"),
        ({"messages": [{"role": "tool", "content": "8"}]}, "messages.0.role: Input should be 'system', 'user' or"),
        ({"id": "a b"}, "id: String should match pattern"),
        ({"id": 7}, "id: Input should be a valid string"),
        ({"family": "a\x1b[2J"}, "family: String should match pattern"),
        ({"hint": "eight"}, "hint: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_question_is_refused_with_its_line(folder: Path, changes: dict[str, Any], said: str) -> None:
    write(folder, entry(), entry(id="q1") | changes)
    line = refused(folder)
    assert line.startswith("evaluation.jsonl, line 2: ")
    assert said in line
    assert "\n" not in line
    assert "\x1b" not in line


def test_an_id_that_comes_twice_is_refused(folder: Path) -> None:
    write(folder, entry(), entry())
    assert refused(folder) == "evaluation.jsonl, line 2: id 'q0' comes twice"


def test_an_empty_file_is_refused(folder: Path) -> None:
    write(folder)
    assert "evaluation.jsonl: 0 questions" in refused(folder)


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "evaluation.jsonl").write_bytes(b"\xff\xfe")
    assert refused(folder) == "evaluation.jsonl: not UTF-8 at byte 0"


@pytest.mark.parametrize(
    "record", ["[]", "{", '{"schema_version": 2, "questions_sha256": "", "recorded": {}}', '{"recorded": {"a": 1}}']
)
def test_a_record_of_another_shape_is_refused(folder: Path, record: str) -> None:
    (folder / "accuracy.json").write_text(record, "utf-8")
    assert "accuracy.json: " in refused(folder)


def test_a_checkpoint_with_questions_is_read_as_before_and_the_bundle_is_bound_to_them(
    mobile_e2b: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(mobile_e2b, folder)
    write(folder, entry())
    questions.record(folder, float="1")
    before = with_digests(open_checkpoint(mobile_e2b)).source.files
    after = with_digests(open_checkpoint(folder)).source.files
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"evaluation.jsonl", "accuracy.json"}
