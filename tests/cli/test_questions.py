"""Public question sets from files: what is understood, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convert.errors import PlanError
from convert.questions import convert
from runtime_tests.questions.evaluation import Question, read_evaluation
from tests.support.commands import convert as command

GSM = {"question": "Ann has 3 apples and buys 4. How many?", "answer": "3+4=<<3+4=7>>7\n#### 7"}
MMLU = {"question": "Capital of France?", "subject": "geo/graphy", "choices": ["Rome", "Paris", "Oslo", "Bern"]}


def saved(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if isinstance(content, list):
        content = "\n".join(map(json.dumps, content))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def made(kind: str, source: Path) -> tuple[Question, ...]:
    out = source.parent / "out.jsonl"
    count = convert(kind, source, out)
    found = read_evaluation(source.parent, out)
    assert found is not None
    assert len(found.questions) == count
    return found.questions


def refused(kind: str, source: Path) -> str:
    out = source.parent / "out.jsonl"
    with pytest.raises(PlanError) as caught:
        convert(kind, source, out)
    assert not out.exists()
    assert not list(source.parent.glob(".*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_gsm8k_asks_for_the_number_behind_the_mark(tmp_path: Path) -> None:
    first, second = made("gsm8k", saved(tmp_path, "a.jsonl", [GSM, GSM | {"answer": "#### $1,234 "}]))
    assert first.prompt == f"{GSM['question']}\n\nThink step by step, then end with the answer as a number."
    assert (first.match, first.accepted, first.max_tokens, first.family) == ("number", ["7"], 512, "gsm8k")
    assert second.right("So it is 1234.")


@pytest.mark.parametrize("answer", [1, 1.0, "B", "b", "Paris", "1"])
def test_a_choice_is_named_by_index_letter_or_text(tmp_path: Path, answer: Any) -> None:
    source = saved(tmp_path, "a.jsonl", [MMLU | {"answer": answer}])
    if answer == 1.0 and isinstance(answer, float):
        assert "answer '1.0' is none of the choices" in refused("choice", source)
        return
    (question,) = made("choice", source)
    assert question.prompt == (
        "Capital of France?\n\nA. Rome\nB. Paris\nC. Oslo\nD. Bern\n\nAnswer with the letter of the right choice alone."
    )
    assert (question.match, question.choices, question.accepted, question.family) == (
        *("choice", "ABCD", ["B"], "geo graphy"),
    )


ARC = {"question": "Q?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": "3"}
PRO = {"question": "Q?", "options": ["x"] * 9 + ["y"], "answer": "J", "answer_index": 9, "category": "law"}


@pytest.mark.parametrize(
    ("name", "content", "letters", "right"),
    [
        ("arc.jsonl", [ARC], "ABC", "C"),
        ("pro.jsonl", [PRO], "ABCDEFGHIJ", "J"),
        ("list.json", json.dumps([MMLU | {"answer": 3}]), "ABCD", "D"),
        ("viewer.json", json.dumps({"rows": [{"row_idx": 0, "row": MMLU | {"answer": 0}}]}), "ABCD", "A"),
        ("columns.json", json.dumps({"question": ["Q?"], "choices": [["x", "y"]], "answer": [1]}), "AB", "B"),
        ("mmlu.csv", '"Q, or not?",w,x,"y ""z""",v,C\n', "ABCD", "C"),
        ("heading.csv", "\ufeffquestion,A,B,C,answer\nQ?,x,y,z,B\n\n", "ABC", "B"),
        ("tabs.tsv", "question\tA\tB\tanswer\nQ?\tx\ty\tA\n", "AB", "A"),
    ],
)
def test_a_set_is_read_in_the_forms_that_people_have(
    tmp_path: Path, name: str, content: Any, letters: str, right: str
) -> None:
    (question,) = made("choice", saved(tmp_path, name, content))
    assert (question.choices, question.accepted) == (letters, [right])


@pytest.mark.parametrize(
    ("kind", "name", "content", "said"),
    [
        (
            "gsm8k",
            "a.jsonl",
            [GSM, {"question": "x", "answer": "7"}],
            "a.jsonl, line 2: answer has no number behind ####",
        ),
        ("gsm8k", "a.jsonl", [{"question": "x", "answer": "#### seven"}], "line 2: the line: "),
        ("gsm8k", "a.jsonl", [{"answer": "#### 7"}], "a.jsonl, line 1: question is missing"),
        ("gsm8k", "a.jsonl", [GSM | {"question": 7}], "a.jsonl, line 1: question is no text"),
        ("gsm8k", "a.jsonl", "nonsense", "a.jsonl, line 1: it is no JSON object"),
        ("gsm8k", "a.jsonl", "[" * 100_000, "a.jsonl, line 1: it is no JSON object"),
        ("gsm8k", "a.jsonl", "", "a.jsonl holds no questions"),
        ("gsm8k", "a.jsonl", b"PAR1\xff\x00", "a.jsonl is not UTF-8 at byte 4. Save it as UTF-8"),
        ("gsm8k", "a.parquet", b"PAR1\xff\x00", "parquet files as JSON lines first"),
        ("gsm8k", "a.jsonl", '{"question": "\\ud800", "answer": "#### 1"}', "holds a character that is none"),
        ("gsm8k", "a.jsonl", [GSM | {"question": "x" * 20_000}], "line 2: prompt: String should have at most 20000"),
        ("choice", "a.jsonl", [MMLU], "answer missing is none of the choices"),
        ("choice", "a.jsonl", [MMLU | {"answer": 4}], "answer '4' is none of the choices"),
        ("choice", "a.jsonl", [MMLU | {"answer": True}], "answer 'True' is none of the choices"),
        ("choice", "a.jsonl", [MMLU | {"choices": ["3", "2", "1"], "answer": "2"}], "answer '2' means two choices"),
        ("choice", "a.jsonl", [MMLU | {"choices": ["x"], "answer": 0}], "1 choices; expected 2 to 10"),
        ("choice", "a.jsonl", [MMLU | {"choices": ["x", None], "answer": 0}], "a choice is no text"),
        ("choice", "a.jsonl", [MMLU | {"choices": "xy", "answer": 0}], "choices is no list"),
        ("choice", "a.jsonl", [ARC | {"choices": {"text": ["x"]}}], "choices has no text and label of one length"),
        ("choice", "a.json", '{"question": ["a", "b"], "answer": [1]}', "its columns are not equally long"),
        ("choice", "a.csv", "a,b,c\nx,y\n", "a.csv, line 1: 1 choices; expected 2 to 10"),
        ("choice", "a.csv", "question,A,B,answer\nQ?,x,y\n", "a.csv, line 2: 3 cells, expected 4"),
        ("choice", "a.csv", 'Q,"x', "a.csv, line 1: "),
        ("quiz", "a.jsonl", [GSM], "there is no kind 'quiz'. Use one of: gsm8k, choice"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    tmp_path: Path, kind: str, name: str, content: Any, said: str
) -> None:
    assert said in refused(kind, saved(tmp_path, name, content))


def test_a_file_of_the_users_is_not_replaced_and_one_of_ours_is(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "a.jsonl", [GSM]), tmp_path / "out.jsonl"
    out.write_text("precious", "utf-8")
    with pytest.raises(PlanError, match="is a file that is not a converted file of questions, so it is not replaced"):
        convert("gsm8k", source, out)
    assert out.read_text("utf-8") == "precious"
    out.unlink()
    assert convert("gsm8k", source, out, max_tokens=40) == 1
    assert convert("gsm8k", source, out) == 1
    with pytest.raises(PlanError, match="is a file that is not a converted"):
        convert("gsm8k", source, source)


def test_the_command_says_what_it_wrote_and_refuses_in_one_line(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "a.jsonl", [GSM, GSM]), tmp_path / "out.jsonl"
    ran = command("questions", "gsm8k", str(source), str(out), "--max-tokens", "64")
    assert (ran.code, ran.out) == (0, f"{out}  2 questions\n")
    assert '"max_tokens": 64' in out.read_text("utf-8")
    ran = command("questions", "choice", str(source), str(tmp_path / "b.jsonl"))
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "a.jsonl, line 1: choices is no list" in ran.err
