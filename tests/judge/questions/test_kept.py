"""Answers that are kept while rung 4 runs: a run that is killed goes on, and nothing wrong is taken over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime_tests.questions.kept import Kept, key

OF = {"artifact_sha256": "a" * 64}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".demo.answers"


def filled(path: Path, of: dict[str, str] = OF) -> Path:
    kept = Kept(path, of)
    kept.put("artifact", key("2 + 2?", 8), ["4", [1, 2]])
    kept.put("reference", key("2 + 2?", 8), [[7], [0.5]])
    kept.close(remove=False)
    return path


def test_what_was_answered_is_known_to_the_next_run(path: Path) -> None:
    told: list[str] = []
    kept = Kept(filled(path), OF, told.append)
    assert kept.get("artifact", key("2 + 2?", 8)) == ["4", [1, 2]]
    assert kept.get("artifact", key("2 + 2?", 9)) is None, "another limit is another question"
    assert told == [f"2 answers are known from {path}, of a run that did not end"]
    kept.put("artifact", "more", "5")
    kept.close(remove=False)
    assert Kept(path, OF).get("artifact", "more") == "5"
    assert Kept(path, OF).get("reference", key("2 + 2?", 8)) == [[7], [0.5]]


def test_at_the_end_nothing_is_left(path: Path) -> None:
    kept = Kept(filled(path), OF)
    kept.put("artifact", "more", "5")
    kept.close(remove=True)
    assert list(path.parent.iterdir()) == []


def test_a_line_that_the_kill_has_cut_is_forgotten(path: Path) -> None:
    content = filled(path).read_bytes()
    path.write_bytes(content[:-5])
    kept = Kept(path, OF)
    assert kept.get("artifact", key("2 + 2?", 8)) == ["4", [1, 2]]
    assert kept.get("reference", key("2 + 2?", 8)) is None


def test_answers_of_another_model_are_not_taken_over(path: Path) -> None:
    told: list[str] = []
    kept = Kept(filled(path), {"artifact_sha256": "b" * 64}, told.append)
    assert kept.get("artifact", key("2 + 2?", 8)) is None
    assert told == [f"{path}: not used (it is of another model or of other questions)"]
    kept.put("artifact", "x", "5")
    kept.close(remove=False)
    assert Kept(path, {"artifact_sha256": "b" * 64}).get("artifact", "x") == "5"


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"who": "artifact"}', "\udcff", "[" * 100_000])
def test_a_damaged_file_is_not_used_and_says_so(path: Path, line: str) -> None:
    first, *rest = filled(path).read_text("utf-8").splitlines()
    path.write_bytes("\n".join([first, line, *rest, ""]).encode("utf-8", "surrogateescape"))
    told: list[str] = []
    assert Kept(path, OF, told.append).get("artifact", key("2 + 2?", 8)) is None
    assert len(told) == 1
    assert told[0].startswith(f"{path}: not used (")
    assert len(told[0].splitlines()) == 1


@pytest.mark.parametrize("kind", ["notes", "folder", "link"])
def test_what_is_no_file_of_answers_is_left_alone(path: Path, kind: str) -> None:
    other = path.parent / "precious"
    other.write_text("mine", "utf-8")
    if kind == "notes":
        path.write_text("mine", "utf-8")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(filled(path.parent / "answers"))
    told: list[str] = []
    kept = Kept(path, OF, told.append)
    kept.put("artifact", "x", "5")
    assert kept.get("artifact", "x") == "5", "it is known as long as the run lasts"
    kept.close(remove=True)
    assert told == [f"{path}: left alone, for it is no file of answers; a run that is killed begins anew"]
    assert path.is_symlink() or path.is_dir() or path.read_text("utf-8") == "mine"
    assert (path.parent / "answers").exists() or kind != "link"


def test_where_nothing_can_be_written_the_work_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    kept = Kept(tmp_path / "no folder" / "x", OF, told.append)
    for i in range(3):
        kept.put("artifact", str(i), i)
    assert [kept.get("artifact", str(i)) for i in range(3)] == [0, 1, 2]
    assert len(told) == 1
    assert "answers are not kept (No such file or directory)" in told[0]


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Kept(None, OF)
    kept.put("artifact", "x", {"any": [1, 2.5, None]})
    kept.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_for_its_owner_and_is_never_half_begun(path: Path) -> None:
    filled(path)
    assert path.stat().st_mode & 0o777 == 0o600
    first: dict[str, Any] = json.loads(path.read_text("utf-8").splitlines()[0])
    assert first == {"kind": "gemma-bridge answers 1", **OF}
