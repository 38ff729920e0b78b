"""SIGKILL at any time: at every moment the old bundle whole or the new one, and the next build removes every trace."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from commands import QUICK, REPOSITORY, convert, digests, start, stop

from convert import demo

POINTS = 10


def quick(out: Path) -> list[str]:
    """The pipeline with a judge that takes any file."""
    return [sys.executable, str(REPOSITORY / "tests" / "quick_build.py"), str(out)]


def whole(out: Path) -> dict[str, str]:
    """Digests below ``out`` without the work folder, which a kill may well leave."""
    return {name: digest for name, digest in digests(out).items() if ".demo.work" not in name}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    """The digests of an undisturbed quick build, and how long it takes."""
    out = tmp_path_factory.mktemp("reference")
    begin = time.perf_counter()
    assert start(quick(out), PYTHONPATH=str(REPOSITORY)).wait(120) == 0
    return digests(out), time.perf_counter() - begin


@pytest.mark.slow
@pytest.mark.parametrize("point", range(POINTS))
def test_a_build_killed_anywhere_is_made_good_by_the_next(
    point: int, reference: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    undisturbed, seconds = reference
    old = point % 2 == 1  # half of them have a whole bundle to lose
    if old:
        assert start(quick(tmp_path), PYTHONPATH=str(REPOSITORY)).wait(120) == 0
    stop(start(quick(tmp_path), PYTHONPATH=str(REPOSITORY)), seconds * (point + 0.5) / POINTS, signal.SIGKILL)
    found = whole(tmp_path)
    assert found == undisturbed or (not old and not found)
    assert start(quick(tmp_path), PYTHONPATH=str(REPOSITORY)).wait(120) == 0
    assert digests(tmp_path) == undisturbed
    assert [path.name for path in (tmp_path / "android").iterdir()] == ["demo"]


@pytest.mark.slow
def test_two_builds_at_two_paths_give_the_same_bytes_and_the_real_judge_passes_them(tmp_path: Path) -> None:
    built = []
    for name, seed in (("one", "1"), ("a folder with spaces", "2")):
        clone = tmp_path / name
        for package in ("convert", "runtime_tests"):
            shutil.copytree(REPOSITORY / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(demo.folder(), clone / "input" / "tiny")
        ran = convert("bundle", "android", "input/tiny", *QUICK, cwd=clone, PYTHONHASHSEED=seed)
        assert ran.code == 0, ran.err
        assert ran.out.startswith("dist/android/tiny  ")
        built.append(digests(clone / "dist"))
    assert built[0] == built[1]
    assert {Path(name).name for name in built[0]} >= {"manifest.json", "model.litertlm", "parity.json", "golden.json"}


@pytest.mark.slow
def test_a_real_build_killed_ten_times_in_a_row_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Each kill finds what the one before it left; the last build must find its way through all of it."""

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "convert", "bundle", "android", "demo", "--out", str(out), *QUICK]

    begin = time.perf_counter()
    assert start(command(tmp_path / "calm")).wait(300) == 0
    seconds = time.perf_counter() - begin
    for point in range(POINTS):
        stop(start(command(tmp_path / "rough")), seconds * (point + 0.5) / POINTS, signal.SIGKILL)
    assert start(command(tmp_path / "rough")).wait(300) == 0
    assert digests(tmp_path / "rough") == digests(tmp_path / "calm")
    assert [path.name for path in (tmp_path / "rough" / "android").iterdir()] == ["demo"]
