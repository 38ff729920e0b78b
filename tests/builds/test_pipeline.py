"""The pipeline: what is published, what is not, and what is left behind (nothing)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from convert import child, demo, pipeline
from convert.bundle import atomic
from convert.bundle.manifest import Evaluation
from convert.errors import ArtifactError, ConvertError, PlanError
from convert.pipeline import ParityError
from convert.plan import Request
from convert.progress import Silent
from convert.targets import all_targets
from runtime_tests.questions.kept import Kept
from runtime_tests.readers.litert.litertlm import open_litertlm
from tests.support import quick_build
from tests.support.commands import REPOSITORY, digests, start, stop, wait_for


@pytest.fixture(autouse=True)
def _real_judge_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "judge", pipeline.judge)


LITERT = all_targets()["litert"]


def test_a_passing_bundle_is_published_with_its_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, run = list[str](), child.run
    monkeypatch.setattr(pipeline, "give_back", lambda: done.append("memory given back"))
    monkeypatch.setattr(child, "run", lambda *given: (done.append("waited"), run(*given))[1])
    built = quick_build.build(tmp_path)
    assert done == ["memory given back", "waited"] * 2  # converter and judge
    assert built.bundle == tmp_path / "android" / "demo"
    names = {"LICENSE", "NOTICE", "golden.json", "manifest.json", "model.litertlm", "parity.html", "parity.json"}
    assert {name for name in digests(tmp_path) if "/app/" not in name} == {f"android/demo/{name}" for name in names}
    assert built.bytes == sum(path.stat().st_size for path in built.bundle.rglob("*") if path.is_file())
    assert built.table == "0 weights  pass\n"


def test_over_budget_nothing_is_published_and_the_table_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ParityError) as caught:
        quick_build.build(tmp_path / "dist", "over")
    assert caught.value.table == "0 weights  fail\n"
    assert list(tmp_path.iterdir()) == []


def test_a_judge_that_breaks_down_is_no_verdict_and_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(child.StageError, match="judge ended with exit code 1"):
        quick_build.build(tmp_path / "dist", "broken")
    assert list(tmp_path.iterdir()) == []


def test_over_budget_the_old_bundle_stays(tmp_path: Path) -> None:
    bundle = quick_build.build(tmp_path).bundle
    (bundle / "mark").write_text("old")
    before = digests(tmp_path)
    with pytest.raises(ParityError):
        quick_build.build(tmp_path, "over")
    assert digests(tmp_path) == before


def test_a_new_bundle_replaces_the_old_one_whole(tmp_path: Path) -> None:
    bundle = quick_build.build(tmp_path).bundle
    before = digests(tmp_path)
    (bundle / "mark").write_text("old")
    quick_build.build(tmp_path)
    assert digests(tmp_path) == before


def test_a_report_of_another_file_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="speaks of a file with another SHA-256"):
        quick_build.build(tmp_path, "stranger")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_nobody_announced_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="core: missing or not meant to be there"):
        quick_build.build(tmp_path, "litter")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["fail", "skipped", "not run"])
def test_a_report_without_a_pass_or_a_reason_is_no_passing_report(tmp_path: Path, status: str) -> None:
    model, report = tmp_path / "model.litertlm", tmp_path / "parity.json"
    model.write_bytes(b"")
    rung = {"name": "0", "question": "equal?", "status": status, "why": ""}
    report.write_text(json.dumps({"artifact": {"sha256": "0" * 64}, "rungs": [rung]}))
    with pytest.raises(ArtifactError, match="no passing report"):
        pipeline.read_parity(report, model, LITERT)


LEFT_OUT = [quick_build.RUNG | {"name": "0"}, {"name": "2b", "question": "?", "status": "not run", "why": "no engine"}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rungs": LEFT_OUT}, "rung 2a, 2b did not run"),
        ({"publication": {"required": ["0", "3"], "allowed": True}}, "rung 3 did not run"),
        ({"publication": {"required": [], "allowed": True}}, "it requires no rung"),
        ({"publication": {"required": ["0"], "allowed": False}}, "the judge does not allow to publish it"),
        ({"publication": {"required": ["0"], "allowed": 1}}, "the judge does not allow to publish it"),
        ({"verdict": "fail"}, "the judge does not allow to publish it"),
        ({"verdict": None}, "the judge does not allow to publish it"),
        ({"publication": None}, "it is no passing report"),
        ({"publication": {"required": ["0"]}}, "it is no passing report"),
    ],
)
def test_a_report_that_does_not_allow_it_or_breaks_its_own_rule_publishes_nothing(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    model, report = tmp_path / "model.litertlm", tmp_path / "parity.json"
    model.write_bytes(b"")
    good = quick_build.REPORT | {"artifact": {"sha256": hashlib.sha256(b"").hexdigest()}}
    report.write_text(json.dumps(good))
    assert [rung.rung for rung in pipeline.read_parity(report, model, LITERT).rungs] == ["0", "2a", "2b", "4"]
    report.write_text(json.dumps(good | changes))
    with pytest.raises(ArtifactError, match=words):
        pipeline.read_parity(report, model, LITERT)


def test_two_builders_of_one_bundle_do_not_meet(tmp_path: Path) -> None:
    final = tmp_path / "android" / "demo"
    with (
        atomic.site(final),
        pytest.raises(PlanError, match="build demo: another build of it is running"),
        atomic.site(final, lock_wait_s=0.1),
    ):
        raise AssertionError("two builders on one site")


def test_a_builder_of_another_bundle_is_not_held_up(tmp_path: Path) -> None:
    with atomic.site(tmp_path / "a"), atomic.site(tmp_path / "b", lock_wait_s=0.0) as other:
        assert other.new.is_dir()


def test_a_second_builder_takes_over_when_the_first_is_done(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "tests" / "support" / "quick_build.py"), str(tmp_path)]
    first = start(command, PYTHONPATH=str(REPOSITORY))
    wait_for(tmp_path / "android" / ".demo.work" / "new")
    with atomic.site(tmp_path / "android" / "demo", lock_wait_s=60):
        assert (tmp_path / "android" / "demo" / "manifest.json").is_file()
    assert first.wait(10) == 0


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(PlanError, match="a file of that name is in the way"), atomic.site(tmp_path / "demo"):
        raise AssertionError("built over a file")
    assert (tmp_path / "demo").read_text() == "mine"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_publishing_replaces_a_folder_with_and_without_the_systems_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    final = tmp_path / "demo"
    for text in ("old", "new"):
        with atomic.site(final) as site:
            (site.new / "file").write_text(text)
            site.publish()
        assert digests(tmp_path).keys() == {"demo/file"}
        assert (final / "file").read_text() == text


def test_a_builder_that_died_between_two_renames_is_repaired(tmp_path: Path) -> None:
    old, new = tmp_path / ".demo.work" / "old", tmp_path / ".demo.work" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.name)
    with atomic.site(tmp_path / "demo") as site:
        assert (site.final / "file").read_text() == "old"
    assert digests(tmp_path).keys() == {"demo/file"}


def test_folders_that_a_failed_build_made_are_removed_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), atomic.site(tmp_path / "mine" / "dist" / "android" / "demo"):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_a_stage_killed_for_memory_says_so(tmp_path: Path) -> None:
    ran = child.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], dict(os.environ))
    with pytest.raises(ConvertError, match=r"convert: its process was ended by SIGKILL at a peak of .* GB of memory"):
        ran.check("convert")


_PEAK = """
import os, sys
from convert import child
print(child.run([sys.executable, "-c", "print(len(bytearray(" + sys.argv[1] + ")))"], dict(os.environ)).peak_bytes)
"""


def test_a_childs_peak_memory_is_its_own() -> None:
    """Measured from a process of its own: this one holds torch, and a child's peak begins at its parent's size."""
    small, large = (
        int(subprocess.run([sys.executable, "-c", _PEAK, size], check=True, capture_output=True, cwd=REPOSITORY).stdout)
        for size in ("10", "300_000_000")
    )
    assert large - small == pytest.approx(300_000_000, rel=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_builder_takes_its_child_along(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    code = f"import os, time; open({str(tmp_path / 'part')!r}, 'w').write(str(os.getpid())); "
    code += f"os.rename({str(tmp_path / 'part')!r}, {str(alive)!r}); time.sleep(600)"
    parent = f"import os, sys; from convert import child; child.run([sys.executable, '-c', {code!r}], dict(os.environ))"
    process = start([sys.executable, "-c", parent])
    wait_for(alive)
    assert running(int(alive.read_text()))
    stop(process, 0.0, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while running(int(alive.read_text())):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.01)


def running(process_id: int) -> bool:
    """Whether a process is there and not merely waiting to be collected."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_models_id_is_that_of_its_inputs_by_whichever_command_it_is_made(tmp_path: Path) -> None:
    other = tmp_path / "demo"  # the same name, and one more blank in a file that says the same
    shutil.copytree(demo.folder(), other)
    with (other / "tokenizer_config.json").open("a", encoding="utf-8") as file:
        file.write(" ")

    def made(model: str, name: str) -> set[str]:
        bundled = quick_build.build(tmp_path / name, model=model).bundle / LITERT.model
        alone = tmp_path / f"{name}.litertlm"
        request = Request("android", model, tmp_path, context=96, prefill=(16,), modalities=(), verb="convert")
        pipeline.convert_file(request, alone, Silent())
        assert bundled.read_bytes() == alone.read_bytes()
        return {str(open_litertlm(path).system["uuid"]) for path in (bundled, alone)}

    assert len(made("demo", "a") | made(str(other), "b")) == 2


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_model_and_what_lies_beside_it_are_replaced_each_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    for text in ("old", "new"):
        with atomic.site(tmp_path / "x.model", as_folder=False) as site:
            for name in ("x.model", "x_2.model", "x_3.model"):
                (site.new / name).mkdir()
                (site.new / name / "weights").write_text(text)
            (site.new / "x.rows").write_text(text)
            site.publish_each()
    assert {path.name for path in tmp_path.iterdir()} == {"x.model", "x_2.model", "x_3.model", "x.rows"}
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"new"}


def test_the_judge_is_told_of_ones_own_questions_and_where_to_keep_answers(tmp_path: Path) -> None:
    asked = replace(Request("android", "demo", tmp_path), evaluation=Path("mine.jsonl"), questions=7)
    plan = SimpleNamespace(bundle=tmp_path / "android" / "demo")
    kept = str(tmp_path / "android" / ".demo.answers")
    flags = pipeline.evaluation(plan, asked)  # type: ignore[arg-type]
    assert flags == ["--questions", "7", "--evaluation", "mine.jsonl", "--answers", kept]
    assert pipeline.evaluation(plan, replace(asked, evaluation=None, questions=None)) == []  # type: ignore[arg-type]


def test_answers_of_a_build_that_was_killed_are_removed_and_nothing_else_of_that_name(tmp_path: Path) -> None:
    kept = Kept(tmp_path / ".demo.answers", {})
    kept.put("artifact", "x", "5")
    kept.close(remove=False)
    other = tmp_path / ".other.answers"
    other.write_text("mine")
    (tmp_path / ".link.answers").symlink_to(kept.path or other)
    for name in (".other.answers", ".link.answers", ".none.answers"):
        pipeline.forget(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {".demo.answers", ".other.answers", ".link.answers"}
    pipeline.forget(tmp_path / ".demo.answers")
    assert {path.name for path in tmp_path.iterdir()} == {".other.answers", ".link.answers"}


def test_the_manifest_names_the_questions_that_were_asked() -> None:
    accuracy = {"questions": "mine.jsonl", "questions_sha256": "a" * 64, "systems": [{"total": 7}]}
    assert pipeline._evaluation(accuracy) == Evaluation(name="mine.jsonl", sha256="a" * 64, questions=7)
    assert pipeline._evaluation(None) is None
