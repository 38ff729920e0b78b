"""Plans: what is refused before any work, and with which words."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from convert import plan
from convert.checkpoint import open_checkpoint
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError, PlanError
from convert.inspection.questions import count_questions
from convert.plan import Request
from convert.progress import Silent
from convert.targets.litert import LitertOptions
from convert.targets.litert.sizes import cache_bytes
from tests.support.checkpoints.modules import with_text

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return open_checkpoint("demo")


@dataclass(frozen=True)
class Matrix:
    """A quantized matrix with nothing in it."""

    name: str
    rows: int
    columns: int
    bits: int
    groups: int
    stack: int | None = None

    def packed(self, start: int, stop: int) -> np.ndarray:
        raise AssertionError("a plan reads no weights")

    codes = scales = packed


def request(out: Path, **choices: object) -> Request:
    return replace(Request("android", "demo", out), **choices)  # type: ignore[arg-type]


def test_defaults_are_capped_by_the_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    made = plan.make(request(tmp_path), checkpoint, "demo")
    assert (made.context, made.prefill) == (2048, (8, 32, 128))
    assert made.bundle == tmp_path / "android" / "demo"


def test_a_context_above_the_models_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"2049 tokens was asked for and the model was trained for 2048\. Give --context"
    ):
        plan.make(request(tmp_path, context=2049), checkpoint, "demo")


def test_a_disk_too_small_is_refused_with_what_is_needed_and_found(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 1_234_000))
    with pytest.raises(PlanError, match=r"rung 2b needs 0\.0[45] GB of disk and 0\.00 GB are free"):
        plan.make(request(tmp_path / "not" / "yet"), checkpoint, "demo")
    assert list(tmp_path.iterdir()) == []


def test_the_disk_that_is_asked_is_that_of_the_output(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Usage:
        asked.append(path)
        return Usage(10**12, 0, 10**12)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    plan.make(request(tmp_path / "not" / "yet"), checkpoint, "demo")
    assert asked == [tmp_path]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a b", "a/b", "ünlaut", "x" * 101, "-flag", "a.work", "a."])
def test_a_name_that_makes_no_good_folder_is_refused(checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"the bundle would be called .* --name [A-Za-z0-9]"):
        plan.make(request(tmp_path), checkpoint, name)
    with pytest.raises(PlanError, match=r"--name .* is no plain name"):
        plan.make(request(tmp_path, name=name), checkpoint, "demo")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("my model", "my-model"),
        ("Gemma 4 (final)", "Gemma-4-final"),
        ("../x", "x"),
        ("模型", "my-model"),
        ("a.work", "my-model"),
    ],
)
def test_the_name_that_is_advised_is_accepted(checkpoint: Checkpoint, tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(PlanError, match=f"--name {advice}$"):
        plan.make(request(tmp_path), checkpoint, name)
    assert plan.make(request(tmp_path, name=advice), checkpoint, name).bundle == tmp_path / "android" / advice


@pytest.mark.parametrize("name", ["CON", "nul", "com1.model", "lpt9"])
def test_a_name_that_windows_keeps_for_devices_is_refused(checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"--name .* is a name of devices on Windows"):
        plan.make(request(tmp_path, name=name), checkpoint, "demo")


def test_a_folder_of_any_name_is_converted_into_a_file_that_has_a_name_of_its_own(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    assert plan.make(request(tmp_path, verb="convert"), checkpoint, "my model").context == 2048


def test_an_unknown_platform_is_refused_with_the_known_ones(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no platform 'symbian'\. Use one of: android, desktop, ios"):
        plan.make(request(tmp_path, platform="symbian"), checkpoint, "demo")


@pytest.mark.parametrize(
    ("bits", "columns", "groups", "words"),
    [
        (2, 64, 2, "2 bits with a scale per 32 columns, which litert has no kernel for"),
        (8, 64, 2, "8 bits with a scale per 32 columns, which litert has no kernel for"),
        (4, 64, 4, "4 bits with a scale per 16 columns, which litert has no kernel for"),
        (4, 63, 1, "63 columns of 4 bits to a scale, which do not fill whole bytes. Use a multiple of 2"),
        (2, 66, 1, "66 columns of 2 bits to a scale, which do not fill whole bytes. Use a multiple of 4"),
    ],
)
def test_what_the_target_cannot_hold_is_refused_by_name(
    checkpoint: Checkpoint, tmp_path: Path, bits: int, columns: int, groups: int, words: str
) -> None:
    key = "layers.0.mlp.up_proj"
    odd = with_text(checkpoint, quants={**checkpoint.text.quants, key: Matrix(key, 8, columns, bits, groups)})
    with pytest.raises(PlanError, match=f"{key} has {words}"):
        plan.make(request(tmp_path), odd, "demo")


@pytest.mark.parametrize(("bits", "groups"), [(2, 1), (4, 1), (8, 1), (4, 3)])
def test_what_the_target_has_kernels_for_is_accepted(
    checkpoint: Checkpoint, tmp_path: Path, bits: int, groups: int
) -> None:
    key = "layers.0.mlp.up_proj"
    fine = with_text(checkpoint, quants={**checkpoint.text.quants, key: Matrix(key, 8, 96, bits, groups)})
    assert plan.make(request(tmp_path), fine, "demo").target == "litert"


def test_an_int8_cache_without_scales_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no cache scales for layer 0\. Use --cache float32"):
        plan.make(request(tmp_path, flags={"cache": "int8"}), with_text(checkpoint, caches={}), "demo")


def test_a_variable_sets_a_platforms_own_choice_and_troubles_no_other(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMMA_BRIDGE_APK", "skip")
    assert plan.make(request(tmp_path), checkpoint, "demo").packing.apk == "skip"
    assert plan.make(request(tmp_path, flags={"apk": "auto"}), checkpoint, "demo").packing.apk == "auto"
    plan.make(request(tmp_path, platform="ios"), checkpoint, "demo")
    monkeypatch.setenv("GEMMA_BRIDGE_APK", "perhaps")
    with pytest.raises(PlanError, match=r"no --apk 'perhaps'\. Use --apk auto, require or skip"):
        plan.make(request(tmp_path), checkpoint, "demo")


def test_a_runtime_that_the_platform_does_not_ship_is_refused_with_those_it_does(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(
        PlanError, match=r"--runtime coreml was given, which android does not have\. Use one of: litert"
    ):
        plan.make(request(tmp_path, runtime="coreml"), checkpoint, "demo")


def test_the_cache_is_counted_over_owning_layers_alone(checkpoint: Checkpoint) -> None:
    # Four sliding owners of one 32-wide head with a window of 64 and a full one of 64, keys and values, four bytes.
    assert cache_bytes(checkpoint, LitertOptions(100, (8,))) == 2 * 4 * (64 * 4 * 32 + 100 * 64)
    assert cache_bytes(checkpoint, LitertOptions(100, (8,), "int8")) == 2 * (64 * 4 * 32 + 100 * 64)
    # No ring where it would be as long as the context.
    assert cache_bytes(checkpoint, LitertOptions(64, (8,), "int8")) == 2 * 64 * (4 * 32 + 64)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"platform": "symbian"}, "no platform 'symbian'"),
        ({"name": "../x"}, "is no plain name"),
        ({"flags": {"precision": "float32"}}, "--precision was given"),
        ({"out": Path(__file__)}, "is not a folder"),
    ],
)
def test_what_needs_no_checkpoint_is_refused_before_one_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict[str, object], words: str
) -> None:
    def fetched(*_: object, **__: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("convert.checkpoint.hub.fetch", fetched)
    asked = Request("android", "google/gemma-4-E2B-it-qat-mobile-transformers", tmp_path)
    with pytest.raises(PlanError, match=words):
        plan.prepare(replace(asked, **choices), Silent())  # type: ignore[arg-type]


@pytest.mark.parametrize("platform", ["android", "ios"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "evaluation.jsonl",
            '{"id": "1"}',
            "evaluation.jsonl, line 1: the line: .*give either messages or prompt. Mend the file, or remove",
        ),
        ("accuracy.json", "{}", "accuracy.json: schema_version: Field required"),
    ],
)
def test_questions_that_the_judge_would_refuse_are_refused_before_any_work(
    folder: Path, tmp_path: Path, platform: str, name: str, content: str, words: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=words):
        plan.prepare(request(tmp_path, model=str(folder), platform=platform), Silent())


def test_a_plan_for_ios_asks_for_every_file_that_the_app_needs(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match=r"there is no chat_template\.jinja"):
        plan.prepare(request(tmp_path, model=str(folder), platform="ios"), Silent())


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "accuracy.json"])
def test_a_companion_that_is_no_file_is_refused_by_name(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(CheckpointError, match=f"{name} is not a regular file"):
        plan.prepare(request(tmp_path, model=str(folder)), Silent())


def test_questions_of_ones_own_are_checked_before_any_work_and_counted(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.jsonl"
    asked = request(tmp_path, model=str(folder), evaluation=given)
    with pytest.raises(PlanError, match=r"--evaluation .*mine\.jsonl: cannot be read \(No such file or directory\)"):
        plan.prepare(asked, Silent())
    given.write_text('{"prompt": "2 + 2?", "answer": "four", "match": "number"}\n')
    with pytest.raises(PlanError, match=r"--evaluation mine\.jsonl, line 1: .*the answer is no number"):
        plan.prepare(asked, Silent())
    given.write_text('{"prompt": "2 + 2?", "answer": "4"}\n' * 3)
    plan.prepare(asked, Silent())
    assert [count_questions(folder, given, count) for count in (None, 2, 9)] == [3, 2, 3]
    for name in ("evaluation.jsonl", "accuracy.json"):
        (folder / name).unlink()
    with pytest.raises(PlanError, match="--questions 5, and the checkpoint brings no questions"):
        plan.prepare(request(tmp_path, model=str(folder), questions=5), Silent())
