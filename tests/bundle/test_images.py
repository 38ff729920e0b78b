"""A bundle that takes images says so: its manifest, ``list`` and ``inspect``. Unless it is asked, one takes text."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert import pipeline, tables
from convert.bundle import manifest
from convert.catalogue import catalogue
from convert.inspection.intact import intact
from convert.look import look
from convert.plan import Request
from convert.progress import Silent
from tests.support import quick_build


@pytest.fixture(scope="module")
def bundle(mobile_tower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = {"apk": "skip", "image_tokens": "140"}
    out = tmp_path_factory.mktemp("images")
    asked = Request(
        "android", str(mobile_tower), out, context=256, prefill=(16,), flags=flags, name="m", modalities=("image",)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", quick_build.judge("pass"))
        return pipeline.build(asked, Silent()).bundle


def test_the_manifest_says_how_an_image_is_cut_and_what_takes_it(bundle: Path) -> None:
    intact(bundle)
    found = manifest.read(bundle)
    assert found.modalities == ("text", "image")
    images = found.feeding.images
    assert images is not None
    assert (images.tokens, images.resize.multiple, images.patches.side, images.patches.pool) == (140, 48, 16, 3)
    assert [(length.tokens, length.patches) for length in images.lengths] == [(70, 630), (140, 1260)]
    there = {(each.section, each.name) for each in found.signatures}
    assert {(call.section, call.function) for length in images.lengths for call in length.calls} <= there
    assert images.around.each == found.feeding.tokens.placeholders["image"]
    assert any(share.component.startswith("vision") for share in found.quantization)


def test_memory_of_images_is_told_beside_that_of_text(bundle: Path) -> None:
    memory, report = manifest.read(bundle).memory, look(str(bundle))
    assert memory.images is not None
    sections = [each.bytes for each in report.sections if "vision" in each.kind]  # type: ignore[union-attr]
    assert memory.images.mapped_weights == sum(sections) > 0
    assert memory.images.working == 4 * 1260 * 12 * 96 + (26 << 20)


def test_list_and_inspect_show_it(bundle: Path) -> None:
    listed = catalogue(bundle.parents[1])
    assert [each.modalities for each in listed.bundles] == [("text", "image")]
    assert "text, image" in tables.catalogue(listed)
    assert "images: at most 70 or 140 tokens each\n" in tables.report(look(str(bundle)))


def test_a_bundle_for_which_nobody_asked_images_takes_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "judge", quick_build.judge("pass"))
    asked = Request("android", "demo", tmp_path, context=96, prefill=(16,), modalities=(), flags={"apk": "skip"})
    found = manifest.read(pipeline.build(asked, Silent()).bundle)
    assert (found.modalities, found.feeding.images, found.memory.images) == (("text",), None, None)


def test_a_manifest_from_before_there_were_images_is_still_read(bundle: Path, tmp_path: Path) -> None:
    found = manifest.read(bundle).model_dump(mode="json")
    del found["modalities"], found["feeding"]["images"], found["memory"]["images"]
    assert manifest.Manifest.model_validate(found).modalities == ("text",)
