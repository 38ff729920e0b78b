"""The iPhone at the other end of ``xcrun devicectl``. That exists on macOS alone: this never ran against a device."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime_tests.device.answers import SelfTest, read
from runtime_tests.device.called import called
from runtime_tests.errors import CannotRunError, InputError

PACKAGE = "dev.gemmabridge.sample"
BUNDLE, ANSWER = "Documents/bundle", "Documents/self-test.json"
INSTALL_S, PUSH_S, CALL_S = 300, 3600, 60


class IPhone:
    """One device that devicectl sees, with the sample app on it.

    Args:
        serial: its name, UDID or identifier; None where there is only one.

    Raises:
        CannotRunError: no Xcode, or no device.
        InputError: several devices and no serial, or not that one.
    """

    def __init__(self, serial: str | None = None) -> None:
        program = shutil.which("xcrun")
        if program is None:
            raise CannotRunError("xcrun is not on PATH: an iPhone is reached from a Mac with Xcode")
        self._devicectl = [program, "devicectl"]
        names = self._devices()
        if serial is None and len(names) > 1:
            raise InputError(
                f"{len(names)} devices are connected: choose one with --serial: {', '.join(sorted(names))}"
            )
        if serial is not None and serial not in names and serial not in names.values():
            raise InputError(f"--serial {serial}: devicectl sees {', '.join(sorted(names)) or 'no device'}")
        if not names:
            raise CannotRunError("no iPhone is connected")
        self._device = serial or next(iter(names.values()))

    def _devices(self) -> dict[str, str]:
        """Identifiers by name."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "devices.json"
            self._run("list", "devices", "--json-output", str(path), seconds=CALL_S)
            try:
                listed: Any = json.loads(path.read_text("utf-8"))["result"]["devices"]
                return {one["deviceProperties"]["name"]: one["identifier"] for one in listed}
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CannotRunError(f"devicectl's list of devices cannot be read ({error!r})") from error

    def test(self, app: Path | None, bundle: Path, seconds: float, say: Callable[[str], None]) -> SelfTest:
        """Installs the app, gives it the bundle and has it test itself.

        Args:
            app: what Xcode built for the device; None where it is installed already.

        Raises:
            CannotRunError: devicectl failed, or no answer came in time.
            InputError: what came is not what the app writes.
        """
        there = ["--device", self._device]
        within = [*there, "--domain-type", "appDataContainer", "--domain-identifier", PACKAGE]
        if app is not None:
            say(f"installing {app.name}")
            self._run("device", "install", "app", *there, str(app), seconds=INSTALL_S)
        say(f"copying {bundle.name}")
        self._run("device", "copy", "to", *within, "--source", str(bundle), "--destination", BUNDLE, seconds=PUSH_S)
        say("waiting for the device's answers")
        # With the console the command ends when the app does, which it does when it has written its answer.
        launch = (
            "device",
            "process",
            "launch",
            *there,
            "--console",
            "--terminate-existing",
            PACKAGE,
            "--",
            "-selfTest",
        )
        self._run(*launch, seconds=seconds, codes=(0, 1))
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "self-test.json"
            copy = ("device", "copy", "from", *within, "--source", ANSWER, "--destination", str(answer))
            self._run(*copy, seconds=CALL_S)
            if not answer.is_file():
                raise CannotRunError("the device gave no answer")
            return read(answer.read_bytes())

    def _run(self, *words: str, seconds: float, codes: tuple[int, ...] = (0,)) -> None:
        called("devicectl", [*self._devicectl, *words], " ".join(words[:3]), seconds, codes)
