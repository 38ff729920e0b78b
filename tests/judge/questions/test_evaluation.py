"""Evaluation questions and recorded outcomes: what is read, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from convert.checkpoint import open_checkpoint, with_digests
from runtime_tests.errors import InputError
from runtime_tests.questions.evaluation import Evaluation, read_evaluation, schema
from runtime_tests.questions.matching import KINDS
from tests.support import questions


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


def lines(folder: Path, *found: Any) -> Path:
    path = folder / "given.jsonl"
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in found), "utf-8")
    return path


def given(folder: Path, *found: Any) -> Evaluation:
    read = read_evaluation(folder, lines(folder, *found))
    assert read is not None
    return read


SUM = {"prompt": "2 + 2?", "answer": "4"}


def test_a_short_line_is_enough_and_a_prompt_is_one_message_of_the_user(tmp_path: Path) -> None:
    found = given(tmp_path, SUM, "", SUM | {"answers": ["four", "4"], "answer": None})
    first, second = found.questions
    assert [(turn.role, turn.content) for turn in first.turns] == [("user", "2 + 2?")]
    assert (first.id, first.match, second.id) == ("line-1", "exact", "line-3")
    assert second.accepted == ["four", "4"]
    assert (found.own, found.total) == (False, 2)


def test_several_answers_mean_one_of_them(tmp_path: Path) -> None:
    (question,) = given(tmp_path, {"prompt": "2 + 2?", "answers": ["four", "4"]}).questions
    assert question.match == "one_of"
    assert question.right("four")
    assert not question.right("five")


def test_the_first_line_may_say_what_all_questions_have_in_common(tmp_path: Path) -> None:
    common = {"match": "number", "max_tokens": 99, "family": "sums", "system": "Think."}
    own = {"messages": [{"role": "system", "content": "Do not."}, {"role": "user", "content": "2?"}], "answer": "2"}
    first, second = given(tmp_path, {"defaults": common}, SUM, own | {"match": "exact", "max_tokens": 3}).questions
    assert (first.match, first.max_tokens, first.family) == ("number", 99, "sums")
    assert [turn.role for turn in first.turns] == ["system", "user"]
    assert first.right("so it is $4.00")
    assert (second.match, second.max_tokens, second.turns[0].content) == ("exact", 3, "Do not.")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            {"prompt": "a", "messages": [{"role": "user", "content": "a"}], "answer": "4"},
            "give either messages or prompt",
        ),
        ({"answer": "4"}, "give either messages or prompt"),
        ({"prompt": "a"}, "give either answer or answers"),
        (SUM | {"answers": ["4"]}, "give either answer or answers"),
        (SUM | {"match": "regex"}, "match: Input should be 'exact', 'one_of', 'contains', 'number' or 'choice'"),
        (SUM | {"match": "number", "answer": "four"}, "the answer is no number"),
        (SUM | {"match": "choice"}, "the answer is none of the letters ABCD"),
        (SUM | {"match": "choice", "answer": "E"}, "the answer is none of the letters ABCD"),
        (SUM | {"match": "contains", "answer": "\u00a0"}, "the answer is nothing but white space"),
        ({"prompt": "a", "answers": ["4", "5"], "match": "exact"}, "exact takes one answer"),
        (SUM | {"choices": "abc"}, "choices: String should match pattern"),
        (SUM | {"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        (SUM | {"max_tokens": 10**9}, "max_tokens: Input should be less than or equal to 4096"),
        (SUM | {"prompt": "a" * 20_001}, "prompt: String should have at most 20000 characters"),
        ({"defaults": {"match": "exact"}}, "defaults: Extra inputs are not permitted"),  # not in the first line
        ('{"prompt": "\\ud800", "answer": "4"}', "line 2: "),
        ("[" * 100_000, "line 2: "),
        ("[1]", "line 2: "),
        ("nonsense", "Invalid JSON"),
    ],
)
def test_a_line_that_cannot_be_asked_is_refused_with_its_number(tmp_path: Path, line: Any, said: str) -> None:
    path = lines(tmp_path, SUM, line)
    found = refused(tmp_path, path)
    assert found.startswith("given.jsonl, line 2: ")
    assert said in found
    assert len(found.splitlines()) == 1


def test_a_first_line_of_unknown_defaults_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path, {"defaults": {"temperature": 1}}, SUM)
    assert refused(tmp_path, path).startswith("given.jsonl, line 1: defaults.temperature: Extra inputs")
    assert refused(tmp_path, lines(tmp_path, {"defaults": {}})) == "given.jsonl: 0 questions; expected 1 to 20000"


def test_what_unicode_calls_the_end_of_a_line_does_not_end_one(tmp_path: Path) -> None:
    text = "\ufeff" + json.dumps({"prompt": "a\u2028b\x85c", "answer": "4"}, ensure_ascii=False)
    (question,) = given(tmp_path, text).questions
    assert question.prompt == "a\u2028b\x85c"


def test_a_draw_is_the_same_every_time_and_keeps_order_and_recorded_outcomes(folder: Path) -> None:
    write(folder, *(entry(id=f"q{i}") for i in range(40)))
    questions.record(folder, float="10" * 20)
    found = read_evaluation(folder)
    assert found is not None
    drawn = found.drawn(7)
    assert [item.id for item in drawn.questions] == [item.id for item in found.drawn(7).questions]
    places = [int(item.id[1:]) for item in drawn.questions]
    assert places == sorted(set(places))
    assert places != list(range(7)), "not the first ones"
    assert drawn.recorded["float"].correct.tolist() == [place % 2 == 0 for place in places]
    assert (drawn.total, drawn.own) == (40, False), "so few need not show what the whole set shows"
    assert found.drawn(400) is found
    assert {item.id for item in drawn.questions} < {item.id for item in found.drawn(20).questions}, "more add to it"


def test_the_schema_names_every_field_and_kind_of_match(tmp_path: Path) -> None:
    found = json.loads(schema())
    line, common = found["$defs"]["Question"], found["$defs"]["Common"]
    assert {*line["properties"]} - {"system"} >= {*common["properties"]} - {"system"}
    assert {*line["properties"]["match"]["enum"]} == {*KINDS}


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
