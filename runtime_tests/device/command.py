"""From a bundle and a phone to a report with one rung more.

The bundle stays as it is: it is a function of its checkpoint, and a phone's answers are not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from runtime_tests.device.adb import Phone
from runtime_tests.device.devicectl import IPhone
from runtime_tests.device.judge import judge
from runtime_tests.errors import InputError
from runtime_tests.readers.bundle import GOLDEN, PARITY, check
from runtime_tests.report.golden import GoldenFile
from runtime_tests.report.html import page
from runtime_tests.report.parity import Parity, dump, with_rung

APK, IOS = "app.apk", "ios"


def device_test(
    bundle: Path, out: Path, serial: str | None, seconds: float, say: Callable[[str], None], app: Path | None = None
) -> Parity:
    """Judges a phone and writes ``parity.json`` and ``parity.html`` with its rung into ``out``.

    Args:
        bundle: a finished android bundle with ``app.apk``, or an ios bundle.
        out: made if it is not there.
        seconds: how long to wait for the phone's answers.
        app: of iOS, what Xcode built for the device; None where it is installed already.

    Raises:
        CannotRunError: no phone, or it gave no answer.
        InputError: the bundle or the answer is not what it must be.
    """
    manifest = check(bundle)
    ios = manifest.platform == IOS
    for name in (GOLDEN,) if ios else (APK, GOLDEN):
        if name not in manifest.files:
            raise InputError(f"{bundle.name}: it has no {name}; build it with: just bundle android --apk require")
    if app is not None and not (ios and app.is_dir()):
        raise InputError(f"--app {app}: {'no folder of an app' if ios else 'an android bundle brings its own app'}")
    try:
        goldens = GoldenFile.model_validate_json((bundle / GOLDEN).read_bytes())
        parity = Parity.model_validate_json((bundle / PARITY).read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{bundle.name}: {error.title} was written by another version; build the bundle again"
        ) from error
    if ios:
        found = IPhone(serial).test(app, bundle, seconds, say)
    else:
        found = Phone(serial).test(bundle / APK, bundle / manifest.model, seconds, say)
    made = with_rung(parity, judge(found, goldens))
    out.mkdir(parents=True, exist_ok=True)
    _write(out / PARITY, dump(made))
    _write(out / "parity.html", page.render(made.model_dump(mode="json")))
    return made


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(path)
