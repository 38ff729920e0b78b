"""The Android sample's steps from no model to a chat, and through every failure, in this machine's Java."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from runtime_tests.device.answers import read
from runtime_tests.device.judge import judge
from runtime_tests.report.golden import GoldenFile
from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome
from tests.support.quick_build import build

FOLDER, SUITE, PICTURES = "app/src/test/kotlin", "PresenterSuite", "PicturesSuite"


def golden(question: str, text: str) -> dict[str, Any]:
    """A golden with right digests."""
    ids, new = [2, len(question)], [9, 1]
    tokens, logits = [9, 8, 7, 6, 5], [5.0, 4.0, 3.0, 2.0, 1.0]
    pairs = b"".join(struct.pack("<if", *pair) for pair in zip(tokens, logits, strict=True))
    step = {"tokens": tokens, "logits": logits, "digest": hashlib.sha256(pairs).hexdigest()[:16]}
    return {
        "prompt": f"<|turn>user\n{question}",
        "messages": [{"role": "user", "content": question}],
        "answer": None,
        "ids": ids,
        "continuation": new,
        "text": text,
        "certain": len(new),
        "tokens_sha256": hashlib.sha256(struct.pack("<4i", *ids, *new)).hexdigest(),
        "steps": [step, step],
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = build(tmp_path_factory.mktemp("built") / "demo").bundle
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("bundle") / "demo"))
    fields = {"schema_version": 1, "stop_tokens": [1], "tolerance": 1.0, "mean_tolerance": 0.1}
    fields["artifact_sha256"] = hashlib.sha256((folder / "model.litertlm").read_bytes()).hexdigest()
    fields["goldens"] = [
        golden("What is 17 + 25?", "42"),
        golden("Is a whale a fish?", "No, \u201cmammal\u201d \U0001f40b"),
    ]
    (folder / "golden.json").write_text(json.dumps(fields), "utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        return kotlin_tools.suite(kotlin_tools.compiled(), SUITE, bundle, tmp_path_factory.mktemp("work"))

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_presenter(ran: Outcome, case: str) -> None:
    assert kotlin_tools.failure(ran, case) == ""


@pytest.fixture(scope="module")
def pictures(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        return kotlin_tools.suite(kotlin_tools.compiled(), PICTURES, bundle, tmp_path_factory.mktemp("pictures"))

    return kotlin_tools.once(tmp_path_factory, PICTURES, run)


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, PICTURES))
def test_pictures(pictures: Outcome, case: str) -> None:
    assert kotlin_tools.failure(pictures, case) == ""


@pytest.mark.parametrize(
    ("case", "status", "left"),
    [
        ("packed model to chat", "pass", []),
        ("wrong gpu falls back", "pass", ["gpu"]),
        ("nothing right means no chat", "fail", ["gpu", "cpu"]),
        ("engine that does not start", "fail", ["cpu"]),
        ("app without a bundle", "fail", []),
    ],
)
def test_the_judge_reads_what_the_app_writes(
    ran: Outcome, bundle: Path, case: str, status: str, left: list[str]
) -> None:
    written = read((Path(ran.figures["work"]) / case.replace(" ", "-") / "self-test.json").read_bytes())
    assert [trial.backend for trial in written.trials if trial.why] == left
    goldens = GoldenFile.model_validate_json((bundle / "golden.json").read_bytes())
    assert judge(written, goldens).status == status
