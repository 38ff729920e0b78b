"""A bundle is refused, with the file named, when anything in it is not what was packaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from convert import pipeline
from runtime_tests.cli import app
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import check, find_model
from tests.support import quick_build
from tests.support.commands import convert

FILES = ("LICENSE", "NOTICE", "golden.json", "manifest.json", "model.litertlm", "parity.html", "parity.json")


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle, judged by a quick stand-in."""
    judge = pipeline.judge
    try:
        return quick_build.build(tmp_path_factory.mktemp("tamper")).bundle
    finally:
        pipeline.judge = judge


@pytest.fixture
def bundle(packaged: Path, tmp_path: Path) -> Path:
    """A copy to be tampered with."""
    return Path(shutil.copytree(packaged, tmp_path / "demo"))


def refusal(bundle: Path) -> str:
    with pytest.raises(InputError) as caught:
        check(bundle)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flip(path: Path, where: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        (byte,) = file.read(1)
        file.seek(where)
        file.write(bytes([byte ^ (1 << bit)]))


def remake(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the manifest and makes its own digest anew, as someone would who means to deceive."""
    path = bundle / "manifest.json"
    fields = json.loads(path.read_text("utf-8"))
    change(fields)
    fields["self_sha256"] = "0" * 64
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    own = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(text.replace(f'"self_sha256": "{"0" * 64}"', f'"self_sha256": "{own}"'), "utf-8")


def test_an_untouched_bundle_leads_to_its_model(bundle: Path) -> None:
    listed = check(bundle).files
    assert {name for name in listed if not name.startswith("app/")} == set(FILES) - {"manifest.json"}
    assert find_model(bundle) == bundle / "model.litertlm"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [0.0, 0.37, 0.71, 1.0])
def test_one_flipped_bit_in_any_file_is_refused_by_its_name(bundle: Path, name: str, part: float) -> None:
    flip(bundle / name, int(part * ((bundle / name).stat().st_size - 1)))
    assert name in refusal(bundle)


def test_every_flipped_byte_of_the_manifest_is_refused_by_its_name(bundle: Path) -> None:
    path = bundle / "manifest.json"
    whole, places = path.read_bytes(), []
    for line_start in [0, *(i + 1 for i, byte in enumerate(path.read_bytes()[:-1]) if byte == 0x0A)]:
        end = whole.index(b"\n", line_start)
        # Its key or a bracket, and by turns the end of its value and the line's end.
        places += [min(line_start + 6, end), max(line_start, end - 2 * (len(places) % 4 // 2))]
    for bit, where in enumerate(sorted(set(places))):
        flip(path, where, bit % 8)
        assert "demo/manifest.json" in refusal(bundle), f"byte {where}"
        path.write_bytes(whole)
    check(bundle)


@pytest.mark.parametrize(("old", "new"), [("\n", "\r\n"), ("  ", " "), ('"demo"', '"Demo"'), ("}\n", "}\n\n")])
def test_a_reformatted_manifest_is_refused(bundle: Path, old: str, new: str) -> None:
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    assert "demo/manifest.json" in refusal(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_its_name(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert name in refusal(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_by_its_name(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1])
    assert name in refusal(bundle)


@pytest.mark.parametrize("name", ["extra.so", ".hidden", "app/extra.txt"])
def test_a_file_that_the_manifest_does_not_list_is_refused_by_its_name(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"")
    assert refusal(bundle) == f"demo: {name} is in the bundle but not in the manifest"


def test_a_link_in_place_of_a_file_is_refused(bundle: Path, packaged: Path) -> None:
    (bundle / "NOTICE").unlink()
    (bundle / "NOTICE").symlink_to(packaged / "NOTICE")
    assert refusal(bundle) == "demo: NOTICE is neither a file nor a folder"


def test_a_pipe_in_the_bundle_is_refused_and_not_opened(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    assert refusal(bundle) == "demo: pipe is neither a file nor a folder"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a//b", "a/./b", "a\\b", "", "."])
def test_a_listed_file_outside_the_bundle_is_refused(bundle: Path, name: str) -> None:
    remake(bundle, lambda fields: fields["files"].update({name: {"bytes": 0, "sha256": "0" * 64}}))
    assert refusal(bundle) == f"demo/manifest.json: file {name!r} lies outside the bundle"


def exchanged(bundle: Path) -> None:
    """Another model with a manifest that lists it rightly, and the old model's report."""
    flip(bundle / "model.litertlm", 1 << 16)
    digest = hashlib.sha256((bundle / "model.litertlm").read_bytes()).hexdigest()
    remake(bundle, lambda fields: fields["files"]["model.litertlm"].update(sha256=digest))


def test_an_exchanged_model_under_an_old_report_is_refused(bundle: Path) -> None:
    exchanged(bundle)
    assert "manifest.json: its parity speaks of another file than model.litertlm" in refusal(bundle)


def test_an_exchanged_model_under_an_old_parity_file_is_refused(bundle: Path) -> None:
    exchanged(bundle)
    remake(bundle, lambda f: f["parity"].update(artifact_sha256=f["files"]["model.litertlm"]["sha256"]))
    assert refusal(bundle) == "demo/parity.json: speaks of another file than model.litertlm"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\ufeff{}",
        '{"files": {}, "files": {}}',
        '{"files": {"a": {"bytes": 1.5, "sha256": "' + "0" * 64 + '"}}, "self_sha256": "' + "0" * 64 + '"}',
        "[" * 100_000,
    ],
)
def test_a_manifest_that_is_none_is_refused_in_one_line(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text, "utf-8")
    assert refusal(bundle).startswith("demo/manifest.json: damaged, or no manifest of a bundle")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest.json; it is no bundle"):
        find_model(tmp_path)


@pytest.mark.parametrize("name", ["model.litertlm", "manifest.json"])
def test_verify_refuses_a_changed_file_in_one_line_with_exit_code_2(bundle: Path, name: str) -> None:
    flip(bundle / name, (bundle / name).stat().st_size // 2)
    outcome = convert("verify", bundle)
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.strip().splitlines()) == 1
    assert f"demo{'/' if name == 'manifest.json' else ': '}{name}" in outcome.err


def test_the_judge_by_itself_refuses_it_too(bundle: Path) -> None:
    flip(bundle / "parity.json", 40)
    outcome = CliRunner().invoke(app, ["verify", str(bundle), "--checkpoint", str(bundle)])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: demo: parity.json was changed after packaging")
