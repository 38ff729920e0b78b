"""What a command writes takes the place of nothing that a user may want to keep."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from convert import outputs, pipeline
from convert.errors import PlanError
from convert.targets import all_targets
from runtime_tests.errors import InputError
from runtime_tests.report import outputs as reports
from tests.support import quick_build
from tests.support.commands import Outcome, convert, digests

LITERT, COREML = (all_targets()[name] for name in ("litert", "coreml"))
SHORT = ("--context", "64", "--prefill", "16", "--modalities", "text")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sock(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path is at most 107 bytes long
        made.bind(path.name)
        os.chdir(here)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


def link(path: Path) -> None:
    path.with_name("pointed_at").write_bytes(b"LITERTLM mine")
    path.symlink_to("pointed_at")


def dangling(path: Path) -> None:
    path.symlink_to("nothing")


def letter(path: Path) -> None:
    path.write_text("Dear Sir,")


KINDS = {
    pipe: "a pipe",
    sock: "a socket",
    folder: "a folder",
    link: "a symbolic link",
    dangling: "a symbolic link",
    letter: "a file that is not",
}
kinds = pytest.mark.parametrize(("make", "words"), KINDS.items(), ids=[kind.__name__ for kind in KINDS])


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Kind of every path, content of files, and where links point to."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content: bytes | str = path.read_bytes() if stat.S_ISREG(mode) else ""
        found[str(path.relative_to(folder))] = (mode, os.readlink(path) if stat.S_ISLNK(mode) else content)  # noqa: PTH115
    return found


def refused(ran: Outcome, words: str) -> None:
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert words in ran.err


@kinds
def test_a_model_file_replaces_no_other_kind_of_thing(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path / "x.litertlm")
    before = snapshot(tmp_path)
    with pytest.raises(PlanError, match=words):
        LITERT.place(tmp_path / "x.litertlm", "convert demo")
    assert snapshot(tmp_path) == before


@kinds
@pytest.mark.parametrize("name", ["x.mlpackage", "x_2.mlpackage", "embed_tokens.rows"])
def test_a_package_and_what_lies_beside_it_replace_no_other_kind_of_thing(
    tmp_path: Path, make: Callable[[Path], None], words: str, name: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(PlanError, match=r"is .*(, in the place of|not replaced|neither replaced)"):
        COREML.place(tmp_path / "x.mlpackage", "convert demo")


@kinds
def test_a_bundle_replaces_no_other_kind_of_thing(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path / "demo")
    with pytest.raises(PlanError, match=r"is .*(in the place of a bundle|not a bundle, so it is not replaced)"):
        outputs.check_bundle(tmp_path / "demo", "bundle android demo")


@kinds
def test_a_report_replaces_no_other_kind_of_thing(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path / "parity.json")
    before = snapshot(tmp_path)
    for ours in (reports.is_parity, reports.is_page, reports.is_golden):
        with pytest.raises(InputError, match=r"not replaced|neither replaced nor written to"):
            reports.check(tmp_path / "parity.json", ours, "a report")
    assert snapshot(tmp_path) == before


def test_older_files_of_the_same_kind_and_empty_ones_are_replaced(tmp_path: Path, demo_file: Path) -> None:
    LITERT.place(demo_file, "convert")
    (tmp_path / "empty").touch()
    LITERT.place(tmp_path / "empty", "convert")
    outputs.check_bundle(tmp_path / "new", "bundle")
    (tmp_path / "new").mkdir()
    outputs.check_bundle(tmp_path / "new", "bundle")
    package = tmp_path / "x.mlpackage"
    package.mkdir()
    (package / "Manifest.json").write_text('{"rootModelIdentifier": "1"}')
    COREML.place(package, "convert")


def test_older_reports_are_replaced_whole(tmp_path: Path) -> None:
    for name, ours, text in (
        ("parity.json", reports.is_parity, json.dumps({"schema_version": 1, "artifact": {}, "rungs": []})),
        ("page.html", reports.is_page, "<!DOCTYPE html>\n<title>Parity of x: pass</title>"),
        ("golden.json", reports.is_golden, json.dumps({"schema_version": 1, "goldens": []})),
    ):
        reports.check(tmp_path / name, ours, "a report")
        reports.write(tmp_path / name, text)
        reports.check(tmp_path / name, ours, "a report")
        reports.write(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parity.json").write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"parity.json: cannot be written \(No space left on device\)"):
        reports.write(tmp_path / "parity.json", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_convert_says_in_one_line_that_a_pipe_is_in_the_way(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(convert("convert", "demo", tmp_path / "pipe", *SHORT), "pipe is a pipe, which is neither replaced nor")
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_a_package_does_not_replace_a_folder_of_the_users(tmp_path: Path) -> None:
    folder(tmp_path / "x.mlpackage")
    refused(convert("convert", "demo", tmp_path / "x.mlpackage", *SHORT), "x.mlpackage is a folder that is not an")
    assert (tmp_path / "x.mlpackage" / "mine").read_text() == "mine"


@pytest.mark.parametrize("verb", ["plan", "bundle"])
def test_a_bundle_does_not_replace_a_folder_of_the_users(tmp_path: Path, verb: str) -> None:
    (tmp_path / "android").mkdir()
    folder(tmp_path / "android" / "demo")
    (tmp_path / "android" / "demo" / "manifest.json").write_text('{"manifest_version": 3}')
    refused(convert(verb, "android", "demo", "--out", tmp_path, *SHORT), "demo is a folder that is not a bundle")
    assert (tmp_path / "android" / "demo" / "mine").read_text() == "mine"


@pytest.mark.parametrize("verb", ["plan", "bundle"])
def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, verb: str) -> None:
    letter(tmp_path / "out")
    refused(convert(verb, "android", "demo", "--out", tmp_path / "out", *SHORT), "out is not a folder")
    assert digests(tmp_path).keys() == {"out"}


def test_verify_writes_its_reports_into_no_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "judge", pipeline.judge)
    bundle = quick_build.build(tmp_path / "dist").bundle
    os.mkfifo(tmp_path / "pipe")
    for flag in ("--json", "--html"):
        refused(convert("verify", bundle, "--rungs", "0", flag, tmp_path / "pipe"), "pipe is a pipe, which is neither")


def test_verify_does_not_write_its_report_over_a_file_that_is_none(tmp_path: Path, demo_file: Path) -> None:
    letter(tmp_path / "letter")
    ran = convert("verify", demo_file, "--checkpoint", "demo", "--rungs", "0", "--json", tmp_path / "letter")
    refused(ran, "letter: is a file that is not a parity report, so it is not replaced")
    assert (tmp_path / "letter").read_text() == "Dear Sir,"
