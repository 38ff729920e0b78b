"""A phone's answers: fetched over adb, judged against the bundle's own goldens, added to its report."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runtime_tests.cli import app
from runtime_tests.device import adb
from runtime_tests.device.answers import read
from runtime_tests.device.judge import judge
from runtime_tests.errors import InputError
from runtime_tests.report.golden import GoldenFile
from runtime_tests.report.parity import Parity

MODEL = b"a model"
SHA256 = hashlib.sha256(MODEL).hexdigest()
FAKE = """#!/bin/sh
# Stands in for adb; the phone is a folder.
echo "$@" >> "$PHONE/log"
[ "$1" = devices ] && { echo "List of devices attached"; cat "$PHONE/devices"; exit 0; }
shift 2  # -s SERIAL
case "$1" in
    install) [ -e "$PHONE/full" ] && { echo "INSTALL_FAILED_INSUFFICIENT_STORAGE" >&2; exit 1; }; exit 0 ;;
    push) cp "$2" "$PHONE/pushed" ;;
    shell) case "$2" in
        "rm -f"*) rm -f "$PHONE/self-test.json" ;;
        "am start"*) [ -e "$PHONE/says" ] && cp "$PHONE/says" "$PHONE/self-test.json"; exit 0 ;;
        cat*) cat "$PHONE/self-test.json" 2>/dev/null || true ;;
    esac ;;
esac
"""


def golden(prompt: str, text: str, certain: int = 2) -> dict[str, Any]:
    step = {"tokens": [1, 2, 3, 4, 5], "logits": [5.0, 4.0, 3.0, 2.0, 1.0], "digest": "0" * 16}
    more = {"ids": [2, 7], "continuation": [9, 1], "text": text, "certain": certain, "tokens_sha256": "0" * 64}
    return {"prompt": prompt, "messages": [], "answer": None, **more, "steps": [step, step]}


GOLDENS = {
    "schema_version": 1,
    "artifact_sha256": SHA256,
    "stop_tokens": [1],
    "tolerance": 1.0,
    "mean_tolerance": 0.1,
    "goldens": [golden("2 + 2?", "4"), golden("3 + 3?", "6"), golden("doubtful?", "yes", certain=1)],
}
PARITY = {
    "schema_version": 1,
    "verdict": "pass",
    "artifact": {"name": "model.litertlm", "sha256": SHA256, "size": len(MODEL)},
    "checkpoint": {"format": "mobile", "files": {"config.json": "b" * 64}},
    "floor": None,
    "rungs": [{"name": "0", "question": "is it equal?", "status": "pass", "why": "", "checks": []}],
    "curves": {"blocks_db": None, "blocks_bar_db": {}, "steps": None, "bytes": []},
    "localization": None,
    "accuracy": None,
    "versions": {},
}


def says(verdict: str = "passed", **said: str) -> dict[str, Any]:
    """What the app writes; ``said`` by the first word of a prompt."""
    cases = []
    for item in GOLDENS["goldens"]:  # type: ignore[attr-defined]
        words = said.get("p" + item["prompt"][0], item["text"])
        cases.append(
            {"prompt": item["prompt"], "expected": item["text"], "said": words, "verdict": "passed", "why": ""}
        )
    replay = {"artifact_sha256": SHA256, "backend": "cpu", "verdict": verdict, "cases": cases}
    trials = [
        {"backend": "gpu", "why": "it does not load", "report": None},
        {"backend": "cpu", "why": "", "report": replay},
    ]
    top = {"schema_version": 1, "device": "Maker Phone 9, Android 16", "model": "demo", "artifact_sha256": SHA256}
    return {**top, "verdict": verdict, "trials": trials}


def entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "model.litertlm").write_bytes(MODEL)
    (folder / "golden.json").write_text(json.dumps(GOLDENS))
    (folder / "parity.json").write_text(json.dumps(PARITY))
    with zipfile.ZipFile(folder / "app.apk", "w") as packed:
        packed.writestr("assets/model/model.litertlm", MODEL)
    seal(folder)
    return folder


def seal(folder: Path, **more: str) -> None:
    """Writes the manifest of what lies there."""
    files = {path.name: entry(path.read_bytes()) for path in sorted(folder.iterdir()) if path.name != "manifest.json"}
    fields = {"files": files, "model": "model.litertlm", "parity": {"artifact_sha256": SHA256}, "self_sha256": "0" * 64}
    fields |= {"source": {"id": "demo", "revision": None, "files": {}}, **more}
    text = json.dumps(fields, indent=2)
    own = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(text.replace(f'"self_sha256": "{"0" * 64}"', f'"self_sha256": "{own}"'))


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One phone at a stand-in for adb."""
    tools, folder = tmp_path / "tools", tmp_path / "phone"
    tools.mkdir()
    folder.mkdir()
    (tools / "adb").write_text(FAKE)
    (tools / "adb").chmod(0o755)
    (folder / "devices").write_text("R5CT\tdevice\n\n")
    (folder / "says").write_text(json.dumps(says()) + "\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("PHONE", str(folder))
    monkeypatch.setattr(adb, "POLL_S", 0.01)
    return folder


def run(bundle: Path, *flags: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["device", str(bundle), "--out", str(bundle.parent / "out"), "--timeout", "1", *flags]
    )
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def rung(bundle: Path) -> Any:
    return Parity.model_validate_json((bundle.parent / "out" / "parity.json").read_bytes()).rungs[-1]


def test_right_answers_become_a_rung_of_the_report(bundle: Path, phone: Path) -> None:
    before = {path.name: path.read_bytes() for path in sorted(bundle.iterdir())}
    code, _ = run(bundle)
    assert code == 0
    made = rung(bundle)
    assert (made.name, made.status) == ("device: Maker Phone 9, Android 16", "pass")
    assert "device: Maker Phone 9, Android 16" in (bundle.parent / "out" / "parity.html").read_text()
    assert sorted(path.name for path in (bundle.parent / "out").iterdir()) == ["parity.html", "parity.json"]
    assert {path.name: path.read_bytes() for path in sorted(bundle.iterdir())} == before
    assert "push" not in (phone / "log").read_text()  # the model travels inside the app


def test_a_model_outside_the_app_is_pushed(bundle: Path, phone: Path) -> None:
    with zipfile.ZipFile(bundle / "app.apk", "w") as packed:
        packed.writestr("classes.dex", b"")
    seal(bundle)
    assert run(bundle)[0] == 0
    assert (phone / "pushed").read_bytes() == MODEL


def test_a_wrong_answer_fails_whatever_the_app_says_of_it(bundle: Path, phone: Path) -> None:
    (phone / "says").write_text(json.dumps(says(p3="7")))
    assert run(bundle)[0] == 1
    assert rung(bundle).status == "fail"
    assert "'6' is right, '7' was said" in (bundle.parent / "out" / "parity.json").read_text()


def test_an_answer_that_binds_nobody_may_differ(bundle: Path, phone: Path) -> None:
    (phone / "says").write_text(json.dumps(says(pd="no")))
    assert run(bundle)[0] == 0


def test_another_model_on_the_phone_fails(bundle: Path, phone: Path) -> None:
    told = says()
    told["trials"][1]["report"]["artifact_sha256"] = "c" * 64
    (phone / "says").write_text(json.dumps(told))
    assert run(bundle)[0] == 1


def test_a_golden_that_was_left_out_fails() -> None:
    told = says()
    del told["trials"][1]["report"]["cases"][0]
    made = judge(read(json.dumps(told).encode()), GoldenFile.model_validate(GOLDENS))
    assert made.status == "fail"


def test_a_phone_on_which_nothing_is_right_fails(bundle: Path, phone: Path) -> None:
    told = says("failed")
    told["trials"][1]["why"] = "it computes wrongly"
    (phone / "says").write_text(json.dumps(told))
    assert run(bundle)[0] == 1


@pytest.mark.parametrize(
    ("devices", "words"), [("", "no phone is connected"), ("R5CT\tunauthorized\n", "R5CT is unauthorized")]
)
def test_without_a_phone_it_is_not_run(bundle: Path, phone: Path, devices: str, words: str) -> None:
    (phone / "devices").write_text(devices)
    code, output = run(bundle)
    assert (code, output.startswith("device: not run: ")) == (0, True)
    assert words in output
    assert not (bundle.parent / "out").exists()


def test_without_adb_it_is_not_run(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(bundle) == (0, "device: not run: adb is not on PATH\n")


def test_several_phones_want_a_serial(bundle: Path, phone: Path) -> None:
    (phone / "devices").write_text("R5CT\tdevice\nemulator-5554\tdevice\n")
    code, output = run(bundle)
    assert code == 2
    assert "R5CT, emulator-5554" in output
    assert run(bundle, "--serial", "R5CT")[0] == 0
    assert run(bundle, "--serial", "other")[0] == 2


def test_an_answer_of_an_earlier_run_is_not_taken_for_this_one(bundle: Path, phone: Path) -> None:
    (phone / "says").rename(phone / "self-test.json")
    assert "no answer within 1 s" in run(bundle)[1]


def test_silence_and_a_full_phone_are_said(bundle: Path, phone: Path) -> None:
    (phone / "says").unlink()
    assert "no answer within 1 s" in run(bundle)[1]
    (phone / "full").touch()
    assert "INSTALL_FAILED_INSUFFICIENT_STORAGE" in run(bundle)[1]


@pytest.mark.parametrize("text", [b"{}", b"[]", b"\xff", b'{"schema_version": 2}', b"x" * (5 << 20)])
def test_what_the_app_would_not_write_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match=r"self-test\.json of the phone"):
        read(text)


def test_markup_in_a_phones_name_is_refused() -> None:
    with pytest.raises(InputError, match="device"):
        read(json.dumps(says() | {"device": "<script>"}).encode())


def test_a_bundle_without_an_app_says_how_to_get_one(bundle: Path, phone: Path) -> None:
    (bundle / "app.apk").unlink()
    seal(bundle)
    code, output = run(bundle)
    assert code == 2
    assert "--apk require" in output
