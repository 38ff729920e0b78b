"""A checkpoint that somebody changes while a bundle is made of it: one line, and nothing is published."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convert import child, demo, pipeline, verify
from convert.checkpoint.unchanged import check_unchanged, looks
from convert.errors import CheckpointError
from convert.plan import Request
from convert.progress import Silent
from tests.support import quick_build

STAGES = ("digest", "convert", "runtime_tests")
Spoil = Callable[[Path], None]


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(file.read(1))
    os.utime(path)


def replaced(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


def removed(path: Path) -> None:
    path.unlink()


CHANGES = {
    grown: r"had [\d,]+ bytes and has [\d,]+",
    overwritten: "was written to",
    replaced: "was replaced by another file",
    removed: "was removed",
}
WORDS = "while it was read. Run it again, and leave the checkpoint alone meanwhile"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo.folder(), tmp_path / "source"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_looks_otherwise_is_named_with_what_became_of_it(source: Path, change: Spoil) -> None:
    before = looks(source.iterdir())
    check_unchanged(before, "bundle android x")
    change(source / "config.json")
    with pytest.raises(CheckpointError, match=f"bundle android x: config.json {CHANGES[change]} {WORDS}$"):
        check_unchanged(before, "bundle android x")


@pytest.mark.parametrize("stage", STAGES)
def test_a_build_whose_source_changes_in_any_stage_publishes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def changed(name: str) -> None:
        if name == stage:
            overwritten(source / "model.safetensors")

    run, digest, judge, ran_in = child.run, pipeline.with_digests, quick_build.judge("pass"), list[str]()

    def runs(command: list[str], *given: object) -> child.Ran:
        ran = run(command, *given)  # type: ignore[arg-type]
        ran_in.append("convert" if "convert.work" in command else "runtime_tests")
        changed(ran_in[-1])
        return ran

    def digests(*given: object) -> object:
        made = digest(*given)  # type: ignore[arg-type]
        changed("digest")
        return made

    monkeypatch.setattr(child, "run", runs)
    monkeypatch.setattr(pipeline, "with_digests", digests)
    monkeypatch.setattr(pipeline, "judge", judge)
    asked = Request(
        "android", str(source), tmp_path / "out", context=96, prefill=(16,), modalities=(), flags={"apk": "skip"}
    )
    with pytest.raises(CheckpointError, match=f"model.safetensors was written to {WORDS}"):
        pipeline.build(asked, Silent())
    assert ran_in == list(STAGES[1 : STAGES.index(stage) + 1])  # nothing goes on after it
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("platform", ["android", "ios"])
def test_a_bare_conversion_whose_source_changes_leaves_no_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    class Changing(Silent):
        def stage(self, name, *given):  # type: ignore[no-untyped-def]
            if name == "write weights":
                overwritten(source / "model.safetensors")
            return super().stage(name, *given)

    out = tmp_path / "out" / ("x.litertlm" if platform == "android" else "x.mlpackage")
    request = Request(platform, str(source), out.parent, context=96, prefill=(16,), modalities=(), verb="convert")
    with pytest.raises(CheckpointError, match=f"model.safetensors was written to {WORDS}"):
        pipeline.convert_file(request, out, Changing())
    assert not out.parent.exists()


def test_a_verdict_on_a_source_that_changed_meanwhile_is_none(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "x.litertlm"
    built.touch()
    script = f"import os; os.utime({str(source / 'config.json')!r})"
    monkeypatch.setattr(verify, "judge", lambda bundle, folder: [sys.executable, "-c", script])
    with pytest.raises(CheckpointError, match=f"verify .*: config.json was written to {WORDS}"):
        verify.verify(built, str(source), None, None)
