"""The Android sample's Kotlin core, in this machine's Java: what it reads, judges and remembers."""

from __future__ import annotations

import pytest

from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome
from tests.support.quick_build import build

FOLDER, SUITE = "core/src/test/kotlin", "CoreSuite"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        classes = kotlin_tools.compiled()
        bundle = build(tmp_path_factory.mktemp("bundle") / "demo").bundle
        return kotlin_tools.suite(classes, SUITE, bundle / "manifest.json", tmp_path_factory.mktemp("work"))

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


def test_the_reader_of_json_has_no_regular_expressions() -> None:
    """Android copies the whole document for each of them, so that a large one full of numbers would never end."""
    source = (kotlin_tools.ANDROID / "core/src/main/kotlin/dev/gemmabridge/core/Json.kt").read_text("utf-8")
    assert "Regex" not in source


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_core(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""
