"""Options of the judge's pytest entry point, test_bundle.py. Without ``--bundle`` it is not collected at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_tests.reference import torch_cache

DEMO = Path(__file__).parent.parent / "dist" / "android" / "demo"


torch_cache.make_none()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bundle`` may be given several times; without a path it is the demo's, which may not be built yet."""
    group = parser.getgroup("judge")
    group.addoption(
        "--bundle", action="append", nargs="?", metavar="FOLDER", default=[], help="climb the ladder with this bundle"
    )
    group.addoption("--checkpoint", metavar="FOLDER", help="the checkpoint that the bundles were made from")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Judging takes a minute, and belongs to those who ask for it."""
    return True if collection_path.name == "test_bundle.py" and not config.getoption("bundle") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every bundle in turn."""
    if "bundle" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("bundle")
    params = [] if asked else [pytest.param(None, id="none", marks=pytest.mark.skip(reason="name one with --bundle"))]
    for given in asked:
        path = DEMO if given is None else Path(given)
        absent = given is None and not path.exists()
        reason = "not run: dist/android/demo is not built; just bundle android"
        marks = [pytest.mark.skip(reason=reason)] if absent else []
        params.append(pytest.param(path, id=path.resolve().name, marks=marks))
    metafunc.parametrize("bundle", params, scope="session")
