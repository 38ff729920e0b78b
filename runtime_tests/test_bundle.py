"""The ladder as tests: ``just runtime-test [bundle...]``. Each rung of each bundle is one test.

A failing test names the failing checks; a rung that could not run is skipped, with its reason.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from runtime_tests.case import Case
from runtime_tests.errors import InputError
from runtime_tests.kinds import open_case, rooms
from runtime_tests.ladder import STEPS, climb
from runtime_tests.readers.bundle import MANIFEST, check
from runtime_tests.readers.origin import checkpoint_of
from runtime_tests.results import Rung


def bare(bundle: Path) -> bool:
    """Whether this is a model alone: a file, or a folder that a target's room knows as one."""
    if bundle.is_file() or (bundle / MANIFEST).exists():
        return bundle.is_file()
    with suppress(InputError):
        return any(room.find(bundle) == bundle for room in rooms().values())
    return False


def test_every_file_is_what_was_packaged(bundle: Path) -> None:
    if bare(bundle):
        pytest.skip("not run: a bare model has no manifest to be held to")
    try:
        check(bundle)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def case(bundle: Path, request: pytest.FixtureRequest) -> Case:
    """What all rungs of one bundle share: the reference is loaded and run once."""
    option = request.config.getoption("checkpoint")
    given = Path(option) if option else None
    if bare(bundle) and given is None:
        pytest.fail(f"{bundle.name} does not say what it was made from; give --checkpoint", pytrace=False)
    try:
        folder = given if bare(bundle) and given else checkpoint_of(check(bundle), given)
        return open_case(bundle, folder)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.mark.parametrize("name", [pytest.param(step.name, id=f"{step.name}-{step.module}") for step in STEPS])
def test_rung(case: Case, name: str) -> None:
    try:
        (rung,) = climb(case, (name,))
    except InputError as error:
        pytest.fail(str(error), pytrace=False)
    if rung.status != "pass":
        explain(rung)


def explain(rung: Rung) -> NoReturn:
    """Ends the test of a rung that did not pass."""
    if rung.status == "not run":
        pytest.skip(f"not run: {rung.why}")
    lines = [
        f"{check.name}: {check.found:g} {check.unit}, expected {check.sense} {check.limit:g}; {check.note}"
        for check in rung.checks
        if not check.passed
    ]
    pytest.fail("\n".join([f"rung {rung.name}: {rung.question}", *lines]), pytrace=False)
