"""The phone at the other end of adb."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from runtime_tests.device.answers import SelfTest, read
from runtime_tests.device.called import called
from runtime_tests.errors import CannotRunError, InputError

PACKAGE = "dev.gemmabridge.sample"
ACTION = f"{PACKAGE}.SELF_TEST"
FOLDER = f"/sdcard/Android/data/{PACKAGE}/files"
ANSWER = f"{FOLDER}/self-test.json"
PACKED = "assets/model/"
INSTALL_S, PUSH_S, CALL_S, POLL_S = 300, 1800, 60, 1.0


class Phone:
    """One device that adb sees.

    Args:
        serial: as ``adb devices`` shows it; None where there is only one.

    Raises:
        CannotRunError: no adb, or no phone that lets itself be used.
        InputError: several phones and no serial, or not that one.
    """

    def __init__(self, serial: str | None = None) -> None:
        program = shutil.which("adb")
        if program is None:
            raise CannotRunError("adb is not on PATH")
        self._adb = [program]
        lines = self._run("devices", seconds=CALL_S).splitlines()[1:]
        states = dict(line.split("\t")[:2] for line in lines if "\t" in line)
        ready = sorted(name for name, state in states.items() if state == "device")
        if serial is not None and serial not in ready:
            raise InputError(f"--serial {serial}: adb sees {', '.join(ready) or 'no phone'}")
        if not ready:
            seen = "; ".join(f"{name} is {state}" for name, state in sorted(states.items()))
            raise CannotRunError(f"no phone is connected{f' ({seen})' if seen else ''}")
        if serial is None and len(ready) > 1:
            raise InputError(f"{len(ready)} phones are connected: choose one with --serial: {', '.join(ready)}")
        self._adb += ["-s", serial or ready[0]]

    def test(self, apk: Path, model: Path, seconds: float, say: Callable[[str], None]) -> SelfTest:
        """Installs the app, gives it the model unless that travels inside it, and waits for its self-test.

        Raises:
            CannotRunError: adb failed, or no answer came in time.
            InputError: what came is not what the app writes.
        """
        say(f"installing {apk.name}")
        self._run("install", "-r", str(apk), seconds=INSTALL_S)
        self._shell(f"am force-stop {PACKAGE}")
        self._shell(f"rm -f {ANSWER}")
        if not holds_model(apk, model.name):
            say(f"pushing {model.name}")
            self._shell(f"mkdir -p {FOLDER}")
            self._run("push", str(model), f"{FOLDER}/{model.name}", seconds=PUSH_S)
        say("waiting for the phone's answers")
        self._shell(f"am start -W -a {ACTION} -n {PACKAGE}/.MainActivity")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # The app writes in one go; what is not whole yet is asked for again.
            text = self._shell(f"cat {ANSWER} 2>/dev/null || true")
            if text.rstrip().endswith("}"):
                return read(text.encode("utf-8"))
            time.sleep(POLL_S)
        raise CannotRunError(f"the phone gave no answer within {seconds:g} s")

    def _shell(self, command: str) -> str:
        return self._run("shell", command, seconds=CALL_S)

    def _run(self, *words: str, seconds: float) -> str:
        return called("adb", [*self._adb, *words], words[0], seconds)


def holds_model(apk: Path, name: str) -> bool:
    """Whether the model travels inside the app.

    Raises:
        InputError: ``apk`` is no APK.
    """
    try:
        with zipfile.ZipFile(apk) as packed:
            return PACKED + name in packed.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{apk.name}: is no APK ({error})") from error
