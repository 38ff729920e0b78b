"""An iPhone's answers: by logits, fetched by devicectl, judged against the bundle's own goldens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runtime_tests.cli import app
from tests.judge.device.test_device import bundle, run, rung, says, seal

__all__ = ["bundle"]  # the fixture
FAKE = """#!/bin/sh
# Stands in for xcrun; the device is a folder.
echo "$@" >> "$PHONE/log"
shift
last() { for word; do :; done; echo "$word"; }
case "$1 $2 $3" in
    "list devices "*) cp "$PHONE/devices" "$(last "$@")" ;;
    "device install app") [ -e "$PHONE/refuses" ] && { echo "no such team" >&2; exit 3; }; exit 0 ;;
    "device copy to") exit 0 ;;
    "device process launch") [ -e "$PHONE/failed" ] && exit 1; exit 0 ;;
    "device copy from") [ -e "$PHONE/says" ] && cp "$PHONE/says" "$(last "$@")"; exit 0 ;;
esac
"""


def found(
    largest: float | None = 0.5, mean: float | None = 0.05, verdict: str = "passed", **said: str
) -> dict[str, Any]:
    out = says(verdict, **said)
    out["trials"][0]["backend"] = "ane"
    out["trials"][1]["report"] |= {"compared": "logits", "largest": largest, "mean": mean, "why": ""}
    return out


@pytest.fixture
def iphone(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools, folder = tmp_path / "tools", tmp_path / "phone"
    tools.mkdir()
    folder.mkdir()
    (tools / "xcrun").write_text(FAKE)
    (tools / "xcrun").chmod(0o755)
    one = {"identifier": "00008130", "deviceProperties": {"name": "Ada's iPhone"}}
    (folder / "devices").write_text(json.dumps({"result": {"devices": [one]}}))
    (folder / "says").write_text(json.dumps(found()))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("PHONE", str(folder))
    (bundle / "app.apk").unlink()
    seal(bundle, platform="ios")
    return folder


def test_a_device_that_computes_as_the_reference_passes_by_its_logits(bundle: Path, iphone: Path) -> None:
    code, output = run(bundle)
    assert code == 0, output
    made = rung(bundle)
    assert made.status == "pass"
    figures = {check.name: check.found for check in made.checks}
    assert figures["logits: the farthest"] == 0.5
    assert figures["logits: on average"] == 0.05
    log = (iphone / "log").read_text()
    assert "install" not in log
    assert f"--source {bundle} --destination Documents/bundle" in log
    assert "dev.gemmabridge.sample -- -selfTest" in log


@pytest.mark.parametrize(
    "answer", [found(largest=1.5), found(mean=0.2), found(mean=None), found(p2="5"), {**found(), "trials": []}]
)
def test_a_device_that_is_off_fails(bundle: Path, iphone: Path, answer: dict[str, Any]) -> None:
    (iphone / "says").write_text(json.dumps(answer))
    (iphone / "failed").touch()  # the app's exit code says the same and ends nothing
    assert run(bundle)[0] == 1
    assert rung(bundle).status == "fail"


def test_the_app_that_xcode_built_is_installed(bundle: Path, iphone: Path, tmp_path: Path) -> None:
    built = tmp_path / "GemmaSample.app"
    built.mkdir()
    assert run(bundle, "--app", str(built))[0] == 0
    assert f"device install app --device 00008130 {built}" in (iphone / "log").read_text()
    (iphone / "refuses").touch()
    code, output = run(bundle, "--app", str(built))
    assert (code, "device: not run: devicectl device install app ended with code 3: no such team" in output) == (
        0,
        True,
    )
    code, output = run(bundle, "--app", str(tmp_path / "nothing"))
    assert (code, "no folder of an app" in output) == (2, True)


def test_without_a_mac_or_a_device_it_says_so(bundle: Path, iphone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (iphone / "devices").write_text('{"result": {"devices": []}}')
    code, output = run(bundle)
    assert (code, "device: not run: no iPhone is connected" in output) == (0, True)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    code, output = run(bundle)
    assert (code, "device: not run: xcrun is not on PATH: an iPhone is reached from a Mac with Xcode" in output) == (
        0,
        True,
    )


def test_several_devices_are_not_chosen_from(bundle: Path, iphone: Path) -> None:
    devices = [{"identifier": str(i), "deviceProperties": {"name": f"phone {i}"}} for i in range(2)]
    (iphone / "devices").write_text(json.dumps({"result": {"devices": devices}}))
    code, output = run(bundle)
    assert (code, "choose one with --serial: phone 0, phone 1" in output) == (2, True)
    assert run(bundle, "--serial", "phone 1")[0] == 0
    code, output = run(bundle, "--serial", "other")
    assert (code, "devicectl sees phone 0, phone 1" in output) == (2, True)


def test_a_device_without_an_answer_is_not_run(bundle: Path, iphone: Path) -> None:
    (iphone / "says").unlink()
    code, output = run(bundle)
    assert (code, "device: not run: the device gave no answer" in output) == (0, True)


def test_where_no_bundle_is_named_it_is_the_platforms_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist/ios/demo").mkdir(parents=True)
    (tmp_path / "dist/ios/demo/manifest.json").write_text("{")
    words = {"android": "no manifest.json", "ios": "damaged"}
    for platform, word in words.items():
        done = CliRunner().invoke(app, ["device", "--platform", platform])
        assert (done.exit_code, word in done.output) == (2, True), done.output
