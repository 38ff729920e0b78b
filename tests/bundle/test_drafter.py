"""A bundle with a drafter: said in the plan and the manifest, bound to what it was made from, the same bytes again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from convert import demo, pipeline, tables, verify
from convert.bundle import manifest
from convert.errors import ArtifactError, PlanError
from convert.plan import Request, prepare
from convert.progress import Silent
from tests.support import quick_build
from tests.support.drafter.assistant import write_assistant


def request(out: Path, platform: str = "android", drafter: str = "demo") -> Request:
    flags = {"apk": "skip"} if platform == "android" else {}
    return Request(platform, "demo", out, context=96, prefill=(16,), modalities=(), flags=flags, drafter=drafter)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", quick_build.judge("pass"))
        return pipeline.build(request(tmp_path_factory.mktemp("drafted")), Silent()).bundle


def test_the_manifest_says_what_drafts_and_what_it_was_made_from(bundle: Path) -> None:
    found = manifest.read(bundle).drafter
    assert found is not None
    assert (found.section, found.signature, found.verify, found.drafts) == (
        "tf_lite_mtp_drafter",
        "mtp_drafter",
        "verify",
        4,
    )
    assert found.source.id == "demo"
    for name, entry in found.source.files.items():
        assert entry.sha256 == hashlib.sha256((demo.drafter() / name).read_bytes()).hexdigest()
    assert any(share.component == "drafter" and share.bits == 4 for share in manifest.read(bundle).quantization)


def test_the_same_drafter_gives_the_same_bytes_and_another_one_another_id(bundle: Path, tmp_path: Path) -> None:
    other = write_assistant(tmp_path / "other", demo.folder())
    for drafter, same in (("demo", True), (str(other), False)):
        pipeline.convert_file(request(tmp_path, drafter=drafter), tmp_path / "again.litertlm", Silent())
        assert ((tmp_path / "again.litertlm").read_bytes() == (bundle / "model.litertlm").read_bytes()) is same


def test_verify_wants_the_drafter_that_it_was_made_from(bundle: Path, tmp_path: Path) -> None:
    assert verify._drafter(bundle, None) == demo.drafter()
    other = write_assistant(tmp_path / "other", demo.folder())
    with pytest.raises(ArtifactError, match=r"its drafter was made from another config.json .* with --drafter"):
        verify._drafter(bundle, str(other))


def test_a_plan_says_how_the_drafter_is_stored(tmp_path: Path) -> None:
    said = tables.plan(prepare(request(tmp_path), Silent())[0])
    assert "demo: 23 matrices on their grid, bit for bit" in said


def test_plan_and_manifest_say_what_a_first_start_writes_with_the_drafter(bundle: Path, tmp_path: Path) -> None:
    with_drafter = prepare(request(tmp_path), Silent())[0]
    without = prepare(Request("android", "demo", tmp_path, context=96, prefill=(16,), modalities=()), Silent())[0]
    assert manifest.read(bundle).runtime.packed_weights == with_drafter.packed_bytes > without.packed_bytes
    assert "writes 1.80 MB on the device, once" in tables.plan(with_drafter)
    assert "writes 1.56 MB on the device, once" in tables.plan(without)
    assert "first start" not in tables.plan(prepare(Request("ios", "demo", tmp_path), Silent())[0])


def test_a_target_without_a_place_for_drafters_refuses_one(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="--drafter was given, and coreml models have no place for one"):
        prepare(request(tmp_path, "ios"), Silent())
