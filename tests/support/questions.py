"""Evaluation files for tests: questions whose right answer is what the reference really says to them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime_tests.litert.case import LitertCase
from runtime_tests.reference.answers import answers

STEPS = 16


def talkative(source: Path, folder: Path) -> Path:
    """A copy of a checkpoint where every sixth token ends a turn: a model of random weights hardly ever stops."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("evaluation.jsonl", "accuracy.json"))
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text("utf-8"))
    rows = json.loads((folder / "config.json").read_text("utf-8"))["text_config"]["vocab_size"]
    settings["eos_token_id"] = sorted({*settings["eos_token_id"], *range(200, min(rows, 1200), 6)})
    path.write_text(json.dumps(settings), "utf-8")
    return folder


def messages(index: int) -> list[dict[str, str]]:
    """A conversation; every third has three turns."""
    asked = {"role": "user", "content": f"What is {index} plus {7 * index}?" + " Tell me." * (index % 4)}
    before = [{"role": "user", "content": f"Count to {index}."}, {"role": "assistant", "content": "one two"}]
    return [*before, asked] if index % 3 == 0 else [asked]


def write(folder: Path, case: LitertCase, count: int, wrong: Sequence[int] = ()) -> Path:
    """Writes ``evaluation.jsonl`` into a folder; the questions listed as wrong get an answer that nobody gives."""
    ids = [np.array([case.start, *case.tokenize(case.render(messages(i)))], np.int32) for i in range(count)]
    found = answers(case.reference, ids, [STEPS] * count, frozenset(case.stops))
    lines = []
    for i, item in enumerate(found):
        said = case.detokenize([int(t) for t in item.new if int(t) not in case.stops]).strip()
        right = said if said and i not in wrong else f"nobody says {i}"
        family = "sums" if i % 2 else "counts"
        entry = {"id": f"q{i}", "family": family, "messages": messages(i), "answer": right}
        lines.append(json.dumps(entry, ensure_ascii=False))
    path = folder / "evaluation.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def record(folder: Path, **outcomes: str) -> None:
    """Writes ``accuracy.json`` for the questions in the folder."""
    digest = hashlib.sha256((folder / "evaluation.jsonl").read_bytes()).hexdigest()
    recorded = {name: {"description": f"a {name} model", "correct": text} for name, text in outcomes.items()}
    found = {"schema_version": 1, "questions_sha256": digest, "recorded": recorded}
    (folder / "accuracy.json").write_text(json.dumps(found), "utf-8")
