"""Each target, platform and format is named in its own room alone: who adds one touches no other file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from convert.targets import all_targets
from tests.rooms.names import FILES, NAMES, named, strangers
from tests.support.commands import REPOSITORY

CONVERT = REPOSITORY / "convert"
TARGETS = tuple(all_targets())
ROOMS = (
    *(f"targets/{target}/" for target in TARGETS),
    "bundle/platforms/",
    "checkpoint/formats/",
    "apk/",  # all of it is Android's
    "chat/",  # talks through the engine of one target
    "demo/train/",  # trains in each format
    "demo/writing/",  # writes each format
)
# Elsewhere: which names, and why.
EXCEPTIONS = {
    "checkpoint/format.py": ({"mobile", "q4_0"}, "advice: which published checkpoints to take"),
    "checkpoint/hub_files.py": (FILES, "what else repositories hold, and is no checkpoint"),
    "checkpoint/other_kinds.py": (FILES | {"mobile", "q4_0"}, "the same, and published models to take instead"),
    "cli.py": ({"android", "litertlm", "mobile"}, "examples, and the platform where none is named"),
}


def test_the_code_outside_of_the_rooms_names_no_target_platform_format_or_kind_of_file() -> None:
    told = strangers(CONVERT, ROOMS)
    assert told.keys() == EXCEPTIONS.keys()
    assert [name for name, names in told.items() if not names <= EXCEPTIONS[name][0]] == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_targets_room_names_no_other_target(target: str) -> None:
    found = strangers(CONVERT / "targets" / target, ())
    assert {name: names for name, names in found.items() if names & {*TARGETS} - {target}} == {}


def test_the_names_are_those_that_the_converter_finds() -> None:
    assert {"litert", "coreml", "android", "ios", "mobile", "q4_0", "litertlm", "mlpackage"} <= NAMES


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_there_and_names_something(room: str) -> None:
    assert strangers(CONVERT / room, ())


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('if plan.target == "coreml":\n    pass', "coreml"),
        ("from convert.targets import litert", "litert"),
        ("import convert.bundle.platforms.ios", "ios"),
        ("x.q4_0", "q4_0"),
        ("def pack_for_android(): ...", "android"),
        ("class LitertPlan: ...", "litert"),
        ("call(coreml=True)", "coreml"),
        ('suffix = f"model.{x}.mlpackage"', "mlpackage"),
    ],
)
@pytest.mark.parametrize("file", ["plan.py", "checkpoint/types.py"])
def test_a_name_that_is_put_into_a_foreign_file_is_seen(tmp_path: Path, file: str, line: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    shutil.copy(CONVERT / file, tmp_path / file)
    assert strangers(tmp_path, ROOMS) == {}
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")
    assert strangers(tmp_path, ROOMS) == {file: {name}}


def test_a_name_in_a_docstring_or_comment_is_not_meant(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text('"""Of android and ios."""\n# litert\n\n\ndef f():\n    """coreml"""\n')
    assert named(path) == set()
