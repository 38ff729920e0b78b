"""The judge in rooms: a target is one folder, found by its name; folders are small; rungs return what they saw."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import iter_modules

import pytest

from convert import demo
from runtime_tests import kinds
from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import NAMES, STEPS, find
from runtime_tests.litert.case import LitertCase
from runtime_tests.measures import accuracy as table
from runtime_tests.measures.evidence import Adaptation, Evidence, together, worst_by_layer
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Findings, at_least, rung
from runtime_tests.rungs import task
from tests.rooms.names import strangers
from tests.support.commands import REPOSITORY

JUDGE = REPOSITORY / "runtime_tests"
MOST = 10
TARGETS = frozenset(kinds.rooms())
# Comments and documentation may name everything, and code in a target's room that target.
ROOMS = (
    *(f"{place}{target}/" for target in sorted(TARGETS) for place in ("", "readers/")),
    "readers/formats/",
    "device/",  # all of it is Android's
)
# Outside of a room: which names, and why.
EXCEPTIONS = {
    "cli.py": ({"android"}, "an example, and the default of the command for a phone"),
    "conftest.py": ({"android"}, "the bundle that is judged when none is named"),
}

# A room that the project does not know: its artifact is a .litertlm behind four bytes, with a suffix of its own.
ROOM = """
import tempfile
from pathlib import Path

from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm


PACKAGES = ()


class ToyCase(LitertCase):
    target = "toy"


def find(path):
    return path if path.suffix == ".toy" else None


def open_case(model, checkpoint, *rest):
    file = Path(tempfile.mkdtemp()) / "inside.litertlm"
    file.write_bytes(model.read_bytes()[4:])
    return ToyCase(open_litertlm(file), open_checkpoint(checkpoint), *rest)
"""
WEIGHTS = """
from runtime_tests.results import none


def climb(case):
    return [none("asked by the toy's own rung", [], "cases", 1)]
"""


def folders(root: Path) -> list[Path]:
    return [root, *sorted(path for path in root.rglob("*") if path.is_dir() and path.name != "__pycache__")]


@pytest.mark.parametrize("root", [JUDGE, REPOSITORY / "tests"], ids=lambda root: root.name)
def test_no_folder_has_more_files_than_can_be_read_aloud(root: Path) -> None:
    counts = {
        str(folder.relative_to(REPOSITORY)): sum(
            path.is_file() and path.name not in ("__init__.py", "__main__.py") for path in folder.iterdir()
        )
        for folder in folders(root)
    }
    assert {name: count for name, count in counts.items() if count > MOST} == {}


def test_the_code_outside_of_the_rooms_names_no_target_platform_format_or_kind_of_file() -> None:
    told = strangers(JUDGE, ROOMS)
    assert told == {name: names for name, (names, _) in EXCEPTIONS.items()}


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_targets_room_names_no_other_target(target: str) -> None:
    found = {name: names & (TARGETS - {target}) for name, names in strangers(JUDGE / target, ()).items()}
    assert {name: names for name, names in found.items() if names} == {}
    assert any(target in names for names in strangers(JUDGE / target, ()).values())


def test_every_folder_is_a_layer_of_the_contract_or_a_targets_room() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one.get("containers") == ["runtime_tests"])
    known = {name.strip() for layer in layers for name in layer.split("|")}
    found = {at.name for at in iter_modules([str(JUDGE)])}
    assert found - known == TARGETS
    assert not known & TARGETS


def test_a_rung_is_the_targets_own_or_else_the_one_that_all_share() -> None:
    found = {
        (target, step.name): find(target, step.module).__name__ for target in ("litert", "coreml") for step in STEPS
    }
    shared = {key for key, name in found.items() if name.startswith("runtime_tests.rungs.")}
    assert shared == {("litert", "1"), ("coreml", "1")}
    assert found["coreml", "3"] == "runtime_tests.coreml.rungs.engine"
    assert {name for _, name in found} == set(NAMES)


def test_a_rung_that_a_target_does_not_have_is_not_run() -> None:
    with pytest.raises(CannotRunError, match="coreml has no arm64 rung"):
        find("coreml", "arm64")


def test_what_no_room_takes_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"LITERTLX")
    with pytest.raises(kinds.InputError, match=r"model\.bin: no model of a known kind; give a bundle"):
        kinds.open_case(path, demo.folder())


def test_a_file_of_another_name_is_known_by_its_first_bytes(demo_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.symlink_to(demo_file)
    assert isinstance(kinds.open_case(path, demo.folder()), LitertCase)


def test_a_room_elsewhere_is_found_with_its_own_rungs_and_falls_back_on_the_shared_ones(
    demo_file: Path, tmp_path: Path
) -> None:
    rooms = tmp_path / "elsewhere" / "runtime_tests" / "toy"
    (rooms / "rungs").mkdir(parents=True)
    for name, text in (
        ("__init__.py", ""),
        ("room.py", ROOM),
        ("rungs/__init__.py", ""),
        ("rungs/weights.py", WEIGHTS),
    ):
        (rooms / name).write_text(text)
    model = tmp_path / "model.toy"
    model.write_bytes(b"TOY!" + demo_file.read_bytes())
    script = f"""
from pathlib import Path
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb, find
case = open_case(Path({str(model)!r}), Path({str(demo.folder())!r}))
for rung in climb(case, ("0", "2a")):
    print(rung.name, rung.status, rung.why, *(check.name for check in rung.checks))
print(find(case.target, "decoder").__name__, find(case.target, "task").__name__)
"""
    path = f"{REPOSITORY}:{tmp_path / 'elsewhere'}"
    ran = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [
        "0 pass  asked by the toy's own rung",
        "2a not run toy has no blocks rung",
        "runtime_tests.rungs.decoder runtime_tests.rungs.task",
    ], ran.stderr


@pytest.fixture(scope="module")
def few(demo_file: Path) -> LitertCase:
    return LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder()), questions=6)


def test_the_shared_task_rung_asks_any_artifact_token_by_token(few: LitertCase) -> None:
    found = task.climb(few)
    accuracy = found.evidence.accuracy
    assert accuracy is not None
    artifact = accuracy.system(table.ARTIFACT)
    assert artifact is not None
    assert artifact.correct.tolist() == accuracy.reference.correct.tolist()
    assert accuracy.reference.correct.any()
    assert rung("4", "?", found).status == "pass"


def test_the_shared_task_rung_sees_an_artifact_that_says_something_else(
    few: LitertCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = few.greedy
    monkeypatch.setattr(few, "greedy", lambda ids, limits: [new[:0] for new in said(ids, limits)])
    accuracy = task.climb(few).evidence.accuracy
    assert accuracy is not None
    artifact = accuracy.system(table.ARTIFACT)
    assert artifact is not None
    assert not artifact.correct.any()
    assert accuracy.reference.correct.any()


def test_the_worst_signature_of_a_block_counts_and_other_names_are_left_out() -> None:
    seen = [
        ("layers.0/mlp", 50.0),
        ("layers.0/mlp", 40.0),
        ("layers.1/mlp", 60.0),
        ("logits", 10.0),
        ("front/mlp", 1.0),
    ]
    assert worst_by_layer(seen) == {"mlp": {0: 40.0, 1: 60.0}}


def test_what_several_rungs_saw_stands_together_and_a_rung_that_saw_nothing_takes_nothing_away() -> None:
    template = Adaptation(1, 0, ("+ a",))
    found = together([Evidence(blocks={"mlp": {0: 1.0}}), Evidence(template=template), Evidence()])
    assert (found.blocks, found.template, found.steps) == ({"mlp": {0: 1.0}}, template, None)


def test_a_rung_carries_what_it_saw_beside_its_checks() -> None:
    seen = Evidence(blocks={"mlp": {0: 1.0}})
    checks = [at_least("x", 1, 2, "dB")]
    made = rung("2a", "?", Findings(checks, seen))
    assert (made.status, made.checks, made.evidence) == ("fail", tuple(checks), seen)
    assert rung("2a", "?", checks).evidence == Evidence()
