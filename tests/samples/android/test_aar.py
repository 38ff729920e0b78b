"""The Android sample's engine over Google's Kotlin API: type-checked against its published signatures, and run against
a double of it. The library itself runs on phones only."""

from __future__ import annotations

import pytest

from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome

FOLDER, SUITE = "engine-aar/src/test/kotlin", "AarSuite"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return kotlin_tools.once(tmp_path_factory, SUITE, lambda: kotlin_tools.suite(kotlin_tools.compiled(), SUITE))


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_aar(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""
