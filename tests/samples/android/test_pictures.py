"""Pictures in the Android sample: what is taken and how large, in this machine's Java; what the stock engine sees."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size

from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome
from tests.support.commands import REPOSITORY
from tests.support.samples.pictures import write_pictures
from tests.support.samples.sight import seeing_model

CORE, ENGINE = "core/src/test/kotlin", "engine-jni/src/test/kotlin"
SUITE, SIGHT = "PictureSuite", "SightSuite"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("pictures")
        (work / "sizes").write_text("".join(" ".join(map(str, row)) + "\n" for row in sizes()), "utf-8")
        write_pictures(work / "files")
        manifest = REPOSITORY / "tests" / "samples" / "manifest.json"
        return kotlin_tools.suite(kotlin_tools.compiled(), SUITE, manifest, work / "sizes", work / "files", work)

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


def sizes() -> list[tuple[int, int, int, int, int]]:
    """Tokens, width and height of pictures, width and height that transformers gives them."""
    sides = (1, 2, 48, 97, 384, 1000, 3024, 9999)
    found = []
    for tokens, width, height in itertools.product((70, 280, 1120), sides, sides):
        high, wide = get_aspect_ratio_preserving_size(height, width, 16, tokens * 9, 3)
        found.append((tokens, width, height, wide, high))
    return found


@pytest.mark.parametrize("case", kotlin_tools.cases(CORE, SUITE))
def test_pictures(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""


@pytest.fixture(scope="module")
def sight(mobile_tower: Path, demo_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("sight")
        model = seeing_model(mobile_tower, work)
        shim, library = kotlin_tools.shim(work), kotlin_tools.engine_library()
        files = (library, shim, model, demo_file, work)
        return kotlin_tools.suite(kotlin_tools.compiled(), SIGHT, *files, flags=("-Xcheck:jni",))

    return kotlin_tools.once(tmp_path_factory, SIGHT, run)


@pytest.mark.skipif(sys.platform != "linux", reason="the stock engine's library for Linux is needed")
@pytest.mark.parametrize("case", kotlin_tools.cases(ENGINE, SIGHT))
def test_sight(sight: Outcome, case: str) -> None:
    assert kotlin_tools.failure(sight, case) == ""
