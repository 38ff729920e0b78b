"""A target is one folder: a toy one outside of the project goes through every command, and no other file knows it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.commands import REPOSITORY, Outcome, convert

TOY = REPOSITORY / "tests" / "support" / "toy_target"
SHORT = ("--context", "128", "--prefill", "16", "--modalities", "text")
KNOWN = {"PYTHONPATH": os.pathsep.join(map(str, (TOY, REPOSITORY)))}


def toy(*arguments: str | Path) -> Outcome:
    """The command line, with the toy's folder on Python's path."""
    return convert(*arguments, **KNOWN)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    ran = toy("bundle", "toybox", "demo", "--out", out, "--paint", "blue", "--questions", "4", *SHORT)
    assert ran.code == 0, ran.err
    assert "card: card.txt" in ran.out
    return out / "toybox" / "demo"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "x.toy"
    ran = toy("convert", "demo", path, *SHORT)
    assert ran.code == 0, ran.err
    return path


def test_no_file_of_the_project_knows_the_toy() -> None:
    places = (
        "convert",
        "runtime_tests",
        "mobile_samples",
        "README.md",
        "Justfile",
        "pyproject.toml",
        "constraints.txt",
    )
    known = {
        str(path.relative_to(REPOSITORY))
        for place in places
        for path in (REPOSITORY / place, *(REPOSITORY / place).rglob("*"))
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".json", ".j2", ".kt", ".kts", ".txt", "")
        if re.search(r"\btoy(box)?\b", path.read_text("utf-8", "replace"))
    }
    # The demo is trained to write words backwards, and this is one of them.
    assert known == {"convert/demo/train/backwards.py"}


def test_without_its_folder_on_the_path_it_is_not_there() -> None:
    ran = convert("plan", "toybox", "demo")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: plan toybox demo: there is no platform 'toybox'. Use one of: android")


def test_plan_shows_the_toy_with_choices_of_its_own(tmp_path: Path) -> None:
    ran = toy("plan", "toybox", "demo", "--paint", "blue", "--out", tmp_path, "--json", *SHORT)
    made = json.loads(ran.out)
    assert (made["platform"], made["target"], made["cache"]) == ("toybox", "toy", "float32")
    assert made["options"] == {"context": 128, "paint": "blue", "prefill": [16]}
    assert made["packing"] == {"card": "with"}
    assert [stage["name"] for stage in made["stages"]][2:5] == ["noise floor", "rung 0", "rung 1"]


def test_a_platform_of_the_project_ships_it_beside_its_own_when_it_is_asked_for(tmp_path: Path) -> None:
    ran = toy("plan", "android", "demo", "--runtime", "toy", "--out", tmp_path, "--json", *SHORT)
    made = json.loads(ran.out)
    assert (made["platform"], made["target"], made["packing"]) == ("android", "toy", {})
    ran = toy("plan", "android", "demo", "--runtime", "toy", "--apk", "skip")
    assert ran.err == (
        "error: plan android demo: --apk was given, which android with toy does not have. Leave --apk out\n"
    )
    ran = toy("plan", "ios", "demo", "--runtime", "toy")
    assert "--runtime toy was given, which ios does not have. Use one of: coreml" in ran.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--paint", "green"), "there is no --paint 'green'. Use --paint red or blue"),
        (("--card", "half"), "there is no --card 'half'. Use --card with or without"),
        (("--cache", "int8"), "--cache was given, which toybox does not have. Leave --cache out"),
    ],
)
def test_choices_that_are_none_are_refused(flags: tuple[str, ...], words: str) -> None:
    ran = toy("plan", "toybox", "demo", *flags)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(f"{words}\n")


def test_list_names_its_platform_and_its_bundle(bundle: Path) -> None:
    found = json.loads(toy("list", "--out", bundle.parents[1], "--json").out)
    assert "toybox" in found["platforms"]
    assert [(one["platform"], one["name"], one["state"]) for one in found["bundles"]] == [("toybox", "demo", "ok")]


def test_convert_writes_it_and_inspect_shows_what_is_its_own(model: Path, bundle: Path) -> None:
    for path, paint in ((model, "red"), (bundle, "blue")):
        found = json.loads(toy("inspect", path, "--json").out)
        assert [section["kind"] for section in found["sections"]] == [f"{paint} header", "tensors"]
        assert sorted(found["operators"]) == ["decode", "prefill_16"]
        assert found["operators"]["decode"]["linear"] == 82  # no operator of a target that the project has
        assert found["cache"]["context"] == 128
    table = toy("inspect", model).out
    assert "red header" in table
    assert "operators of decode" in table


def test_a_damaged_one_is_refused_by_inspect(model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.toy"
    short.write_bytes(model.read_bytes()[:-1])
    ran = toy("inspect", short)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "short.toy: damaged" in ran.err


def test_the_bundle_says_what_it_is_and_what_was_proven(bundle: Path) -> None:
    manifest, parity = (json.loads((bundle / name).read_text("utf-8")) for name in ("manifest.json", "parity.json"))
    assert (manifest["platform"], manifest["model"], manifest["apk"]) == ("toybox", "model.toy", None)
    assert manifest["runtime"] == {"name": "Toy", "minimum": "1", "packed_weights": 0}
    papers = {"LICENSE", "NOTICE", "golden.json", "parity.html", "parity.json"}
    assert manifest["files"].keys() == papers | {"model.toy", "colour.txt", "card.txt"}
    assert "into a toy." in (bundle / "NOTICE").read_text("utf-8")
    assert parity["publication"] == {"allowed": True, "required": ["0", "1", "2a", "2b", "4"]}
    assert {rung["name"]: rung["status"] for rung in parity["rungs"]} == {
        "0": "pass", "1": "pass", "2a": "pass", "2b": "pass", "3": "not run", "4": "pass"
    }  # fmt: skip
    assert parity["versions"].keys() == {"numpy", "rich", "torch", "transformers"}
    assert "toy has no engine rung" in json.dumps(parity["rungs"])


def test_verify_passes_the_bundle(bundle: Path) -> None:
    ran = toy("verify", bundle, "--rungs", "0")
    assert ran.code == 0, ran.err


def test_verify_names_a_file_of_the_bundle_that_was_changed(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "demo"))
    content = bytearray((copy / "model.toy").read_bytes())
    content[-1] ^= 1
    (copy / "model.toy").write_bytes(content)
    ran = toy("verify", copy)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "model.toy was changed after packaging" in ran.err


def other_code(content: bytes) -> bytes:
    """One code of one matrix moved by one."""
    begin = 12 + int.from_bytes(content[4:12], "little")
    at = begin + json.loads(content[12:begin])["tensors"]["layers.3.mlp.up_proj"]["at"]
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def other_step(content: bytes) -> bytes:
    """One step of the decode function with another operator: weights and all other steps are as they were."""
    begin, kept = content.index(b'"name": "decode"'), b'"op": "gelu"'
    at = content.index(kept, begin)
    return content[:at] + kept.replace(b"gelu", b"tanh") + content[at + len(kept) :]


def test_verify_finds_faults_in_the_toy_each_by_its_rung(model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toy"
    wrong.write_bytes(other_step(other_code(model.read_bytes())))
    ran = toy("verify", wrong, "--checkpoint", "demo", "--rungs", "0,2a", "--json", tmp_path / "parity.json")
    assert ran.code == 1, ran.err
    rungs = {rung["name"]: rung for rung in json.loads((tmp_path / "parity.json").read_text("utf-8"))["rungs"]}
    failed = {
        name: [(check["name"], check["note"]) for check in rung["checks"] if not check["passed"]]
        for name, rung in rungs.items()
    }
    assert failed == {
        "0": [("integers equal", "layers.3.mlp.up_proj")],
        "2a": [("worst of 10 layers", "layers.0/output")],
    }
