"""Environments of their own: made once, whole or not at all, in pinned versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.runners import second
from runtime_tests.pinned import venvs
from runtime_tests.pinned.pieces import FetchError

PROJECT = '[project.optional-dependencies]\nnumbers = ["one-two[all]", "three"]\nloose = ["four"]\n'


class Pip:
    """Stands in for what makes and fills an environment."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = False

    def __call__(
        self, words: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 0
    ) -> str:
        self.calls.append(list(words))
        if "venv" in words:
            (Path(words[-1]) / "bin").mkdir(parents=True)
        elif self.fails:
            raise FetchError("pip install failed: ERROR: no network")
        return ""


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    made = Pip()
    monkeypatch.setattr(venvs.fetch, "command", made)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "constraints.txt").write_text("# a set\none_two==1.0\nthree==3.0\n")
    return made


def test_an_environment_is_made_once_in_the_pinned_versions(pip: Pip, tmp_path: Path) -> None:
    made = venvs.python("numbers", tmp_path)
    assert made.parents[2] == tmp_path / "cache" / "gemma-bridge" / "venvs"
    assert pip.calls[1][-4:] == ["-c", str(tmp_path / "constraints.txt"), "one-two[all]", "three"]
    assert (venvs.python("numbers", tmp_path), len(pip.calls)) == (made, 2)


def test_other_pins_make_another_environment(pip: Pip, tmp_path: Path) -> None:
    made = venvs.python("numbers", tmp_path)
    (tmp_path / "constraints.txt").write_text("one_two==1.1\nthree==3.0\n")
    assert venvs.python("numbers", tmp_path) != made


def test_one_that_could_not_be_filled_is_made_anew(pip: Pip, tmp_path: Path) -> None:
    pip.fails = True
    with pytest.raises(FetchError, match="no network"):
        venvs.python("numbers", tmp_path)
    pip.fails = False
    venvs.python("numbers", tmp_path)
    assert len(pip.calls) == 4


@pytest.mark.parametrize(("extra", "said"), [("loose", "pins no version of four"), ("absent", "has no extra 'absent'")])
def test_nothing_is_installed_that_is_not_pinned(pip: Pip, tmp_path: Path, extra: str, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        venvs.python(extra, tmp_path)
    assert pip.calls == []


def test_without_the_projects_files_nothing_says_what_to_install(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").unlink()
    with pytest.raises(FetchError, match=r"constraints\.txt says what to install and cannot be read"):
        venvs.python("numbers", tmp_path)


@pytest.mark.parametrize("extra", ["tensorflow", "llama", "peer"])
def test_what_this_project_asks_for_is_pinned(extra: str) -> None:
    assert venvs.packages(extra)


def test_a_second_opinion_that_cannot_be_had_is_a_reason(pip: Pip) -> None:
    pip.fails = True
    with pytest.raises(CannotRunError, match="no network"):
        second.tensorflow()
