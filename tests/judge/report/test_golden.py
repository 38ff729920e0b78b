"""golden.json, replayed as mobile_samples/GOLDEN.md tells an app to: an intact file passes, a damaged one does not."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import demo
from runtime_tests.errors import InputError
from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER, LitertCase
from runtime_tests.litert.runners.interpreter import Session, lookup
from runtime_tests.questions.evaluation import QUESTIONS
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report import golden
from runtime_tests.report.golden_prompts import PAST, asked
from runtime_tests.rungs.continuations import continuations
from tests.support.commands import REPOSITORY
from tests.support.litert.patient import Patient

Data = dict[str, Any]
CHUNK = 64  # tokens that the file's prefill signature takes
GUIDE = REPOSITORY / "mobile_samples" / "GOLDEN.md"


@pytest.fixture(scope="module")
def case(demo_file: Path) -> LitertCase:
    return LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder()))


@pytest.fixture(scope="module")
def written(case: LitertCase) -> Data:
    read: Data = json.loads(golden.dump(golden.golden(case)))
    return read


def replay(case: LitertCase, written: Data) -> list[str]:
    """The second replay of the guide; what was wrong."""

    def tables(tokens: list[int]) -> tuple[Any, Any]:
        ids = np.array(tokens, np.int32)
        return tuple(lookup(case.interpreter(name), case.model(name), ids) for name in (EMBEDDER, PER_LAYER))  # type: ignore[return-value]

    wrong, differences = [], []
    for item in written["goldens"]:
        session, last = Session(case.interpreter(DECODER), case.model(DECODER)), item["ids"][-1]
        for start in range(0, len(item["ids"]) - 1, CHUNK):
            session.prefill(*tables(item["ids"][:-1][start : start + CHUNK]))
        for i, (step, chosen) in enumerate(zip(item["steps"], item["continuation"], strict=True)):
            logits = session.decode(*tables([last]))
            off = np.abs(logits[step["tokens"]] - np.array(step["logits"])).max()
            differences.append(off)
            if off > written["tolerance"]:
                wrong.append(f"step {i}: off by {off:.3g}, at most {written['tolerance']:.3g}")
            if i < item["certain"] and int(logits.argmax()) != chosen:
                wrong.append(f"step {i}: token {int(logits.argmax())}, expected {chosen}")
            last = chosen
    if np.mean(differences) > written["mean_tolerance"]:
        wrong.append(f"off by {np.mean(differences):.3g} on average, at most {written['mean_tolerance']:.3g}")
    return wrong


def test_an_intact_file_passes_the_replay(case: LitertCase, written: Data) -> None:
    assert replay(case, written) == []
    assert all(len(item["steps"]) >= 2 for item in written["goldens"])  # an answer and the end of the turn


def test_a_damaged_file_fails_the_replay(case: LitertCase, written: Data, demo_file: Path, tmp_path: Path) -> None:
    patient = Patient(demo_file)
    for graph in patient.model(DECODER).subgraphs:
        if tensor := graph.by_name.get("layers.3.mlp.down_proj.weight"):
            assert tensor.quantization is not None
            tensor.quantization.scales[::2] *= 4
    (tmp_path / "model.litertlm").write_bytes(patient.bytes)
    damaged = LitertCase(open_litertlm(tmp_path / "model.litertlm"), case.folder)
    assert replay(damaged, written)


def test_every_digest_can_be_computed_from_the_file_by_the_written_rule(written: Data) -> None:
    for item in written["goldens"]:
        tokens = item["ids"] + item["continuation"][: item["certain"]]
        assert hashlib.sha256(struct.pack(f"<{len(tokens)}i", *tokens)).hexdigest() == item["tokens_sha256"]
        for step in item["steps"]:
            data = b"".join(struct.pack("<if", *pair) for pair in zip(step["tokens"], step["logits"], strict=True))
            assert hashlib.sha256(data).hexdigest()[:16] == step["digest"]


def test_the_continuation_is_the_greedy_one_and_stops_at_a_stop_token(case: LitertCase, written: Data) -> None:
    for item in written["goldens"]:
        assert item["continuation"] == [step["tokens"][0] for step in item["steps"]]
        assert not set(item["continuation"][:-1]) & set(written["stop_tokens"])
        assert item["ids"] == [case.start, *case.tokenize(item["prompt"])]


def test_the_guide_names_every_field_and_its_examples_are_right() -> None:
    guide = GUIDE.read_text("utf-8")
    schema = json.loads(golden.schema())
    parts = [schema, *schema["$defs"].values()]
    for name in {name for part in parts for name in part["properties"]}:
        assert re.search(rf"`\.*{name}(\[\])?`", guide), name
    assert golden.tokens_digest([2, 105])[:16] in guide
    assert golden.step_digest([1, 2], [0.5, -1.25]) in guide


def with_questions(case: LitertCase, folder: Path, lines: list[str]) -> LitertCase:
    shutil.copytree(demo.folder(), folder)
    for name in (QUESTIONS, "accuracy.json"):  # outcomes that are recorded there are of other questions
        (folder / name).unlink(missing_ok=True)
    if lines:
        (folder / QUESTIONS).write_text("\n".join(lines), "utf-8")
    return LitertCase(case.artifact, open_checkpoint(folder))


def question(number: int, family: str, text: str = "How much is two and two?") -> str:
    turn = {"role": "user", "content": text}
    return json.dumps({"id": f"q{number}", "family": family, "messages": [turn], "answer": str(number)})


def test_the_checkpoints_own_questions_are_asked_one_of_each_family_in_turn(case: LitertCase, tmp_path: Path) -> None:
    lines = [question(i, "sums" if i < 9 else "almanac") for i in range(12)]
    found = asked(with_questions(case, tmp_path / "own", lines))
    assert [item.answer for item in found] == ["0", "9", "1", "10", "2", "11", "3", found[-1].answer]
    assert all(item.prompt.startswith("<|turn>") and "two and two" in item.prompt for item in found)


def test_the_last_question_comes_after_more_than_a_window_of_others(case: LitertCase, tmp_path: Path) -> None:
    """Its first turn is out of sight of every sliding layer, its own of none."""
    lines = [question(i, "sums" if i < 9 else "almanac") for i in range(12)]
    *short, long = asked(with_questions(case, tmp_path / "own", lines))
    assert all(len(item.messages) == 1 for item in short)
    assert [turn.role for turn in long.messages] == ["user", "assistant"] * (len(long.messages) // 2) + ["user"]
    turns = [turn.model_dump() for turn in long.messages]
    whole, without_the_last = (len(case.tokenize(case.render(some))) for some in (turns, turns[:-2]))
    assert whole > case.window + PAST >= without_the_last


def test_a_context_without_room_for_that_has_questions_alone(case: LitertCase, tmp_path: Path) -> None:
    lines = [question(i, "sums", "very " * 20) for i in range(3)]
    assert all(len(item.messages) == 1 for item in asked(with_questions(case, tmp_path / "own", lines)))


def test_a_question_beyond_the_context_is_left_out(case: LitertCase, tmp_path: Path) -> None:
    lines = [question(0, "sums", "very " * 300), question(1, "sums")]
    assert [item.answer for item in asked(with_questions(case, tmp_path / "own", lines))] == ["1"]


def test_without_questions_general_prompts_and_a_chat_are_asked(case: LitertCase, tmp_path: Path) -> None:
    found = asked(with_questions(case, tmp_path / "own", []))
    assert len(found) == 9
    assert [len(item.messages) for item in found] == [0] * 8 + [1]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', question(1, "x").replace("user", "system")])
def test_a_line_that_is_no_question_is_named(case: LitertCase, tmp_path: Path, line: str) -> None:
    asking: Callable[[], object] = lambda: asked(with_questions(case, tmp_path / "own", [question(0, "sums"), line]))  # noqa: E731
    with pytest.raises(InputError, match=r"evaluation\.jsonl, line 2: "):
        asking()


def test_what_rung_3_read_is_not_read_again(case: LitertCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large model each pass costs a minute."""
    bare = with_questions(case, tmp_path / "own", [])
    texts = [item.prompt for item in asked(bare)]
    ids = [np.array([bare.start, *bare.tokenize(text)], np.int32) for text in texts]
    said = bare.greedy(ids, [item.steps for item in asked(bare)])
    continuations(bare, said[:-1], (ids[-1], said[-1]))
    assert (len(bare.continuations), len(bare.further)) == (8, 1)
    monkeypatch.setattr(bare.reference, "many", None)
    found = golden.golden(bare)
    assert [item.prompt for item in found.goldens] == texts
    assert [item.continuation for item in found.goldens][-1] == bare.further[0].new.tolist()
