"""SIGKILL at any time: at every moment the old bundle whole or the new one, and the next build removes every trace."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from convert import demo
from tests.support.commands import QUICK, REPOSITORY, convert, digests, start, stop, wait_for

POINTS = 10


def quick(out: Path) -> list[str]:
    """The pipeline with a judge that takes any file."""
    return [sys.executable, str(REPOSITORY / "tests" / "support" / "quick_build.py"), str(out)]


def whole(out: Path) -> dict[str, str]:
    """Digests below ``out`` without the work folder, which a kill may well leave."""
    return {name: digest for name, digest in digests(out).items() if ".demo.work" not in name}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """What an undisturbed quick build makes, and how long it takes."""
    out = tmp_path_factory.mktemp("reference")
    begin = time.perf_counter()
    assert start(quick(out), PYTHONPATH=str(REPOSITORY)).wait(120) == 0
    return out, time.perf_counter() - begin


@pytest.mark.slow
@pytest.mark.parametrize("point", range(POINTS))
def test_a_build_killed_anywhere_is_made_good_by_the_next(
    point: int, reference: tuple[Path, float], tmp_path: Path
) -> None:
    made, seconds = reference
    undisturbed = digests(made)
    old = point % 2 == 1  # half of them have a whole bundle to lose
    if old:
        shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    stop(start(quick(tmp_path), PYTHONPATH=str(REPOSITORY)), seconds * (point + 0.5) / POINTS, signal.SIGKILL)
    found = whole(tmp_path)
    assert found == undisturbed or (not old and not found)
    assert start(quick(tmp_path), PYTHONPATH=str(REPOSITORY)).wait(120) == 0
    assert digests(tmp_path) == undisturbed
    assert [path.name for path in (tmp_path / "android").iterdir()] == ["demo"]


def clone(to: Path) -> Path:
    """A copy of the packages, and of a checkpoint for them."""
    for package in ("convert", "runtime_tests"):
        shutil.copytree(REPOSITORY / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(demo.folder(), to / "input" / "tiny")
    return to


@pytest.mark.slow
def test_two_clones_give_the_same_bytes_though_one_was_killed_again_and_again(tmp_path: Path) -> None:
    """With the real judge. Each kill finds what the one before it left."""
    calm, rough = clone(tmp_path / "calm"), clone(tmp_path / "a folder with spaces")
    arguments = ("bundle", "android", "input/tiny", *QUICK, "--questions", "12")
    ran = convert(*arguments, cwd=calm, PYTHONHASHSEED="1")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1].startswith("dist/android/tiny  ")
    site = rough / "dist" / "android" / ".tiny.work" / "new"
    for sign, seconds in ((site, 1.0), (site / "model.litertlm", 4.0), (site / "parity.json", 0.0)):
        process = start([sys.executable, "-m", "convert", *arguments], cwd=rough, PYTHONHASHSEED="2")
        wait_for(sign, 180)
        stop(process, seconds, signal.SIGKILL)
    ran = convert(*arguments, cwd=rough, PYTHONHASHSEED="3")
    assert ran.code == 0, ran.err
    assert digests(rough / "dist") == digests(calm / "dist")
    assert {Path(name).name for name in digests(rough / "dist")} == {
        *("LICENSE", "NOTICE", "golden.json", "manifest.json", "model.litertlm", "parity.html", "parity.json")
    }
    assert [path.name for path in (rough / "dist" / "android").iterdir()] == ["tiny"]
