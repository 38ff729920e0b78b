"""A bundle with a judge that takes any file: for tests of the pipeline itself, which need builds by the dozen.

``python tests/support/quick_build.py OUT [VERDICT [MODEL [APK [-v]]]]``; with -v the stages are told. VERDICT is
``pass``, ``over`` (budget), ``stranger`` (a report of another file), ``litter`` (an unannounced file) or ``broken``
(the judge fails). The real judge has tests of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from convert import guard, pipeline
from convert.plan import Request
from convert.progress import Lines, Silent

JUDGE = """
import hashlib, json, sys, time
model, reports, verdict = sys.argv[1:4]
time.sleep(0.3)
digest = hashlib.sha256(open(model, "rb").read()).hexdigest()
if verdict == "broken":
    raise KeyError("a defect of the judge")
if verdict == "litter":
    open(reports + "/core", "w").write("left behind")
report = {report!r}
report["artifact"]["sha256"] = "0" * 64 if verdict == "stranger" else digest
json.dump(report, open(reports + "/parity.json", "w"))
json.dump([], open(reports + "/golden.json", "w"))
open(reports + "/parity.html", "w").write("<!DOCTYPE html>")
print("0 weights ", "fail" if verdict == "over" else "pass")
sys.exit(verdict == "over")
"""
RUNG = {"question": "equal?", "status": "pass", "why": ""}
UNASKED = RUNG | {"name": "4", "status": "not run", "why": "the checkpoint brings no evaluation questions"}
REQUIRED = ["0", "2a", "2b"]
REPORT = {
    "verdict": "pass",
    "publication": {"required": REQUIRED, "allowed": True},
    "artifact": {"sha256": ""},
    "rungs": [*(RUNG | {"name": name} for name in REQUIRED), UNASKED],
}


TAKES = """
import json, pathlib, sys
model, reports = map(pathlib.Path, sys.argv[1:3])
{lines}
report = {report!r}
report["artifact"]["sha256"] = digest
(reports / "parity.json").write_text(json.dumps(report))
(reports / "golden.json").write_text("[]")
(reports / "parity.html").write_text("<!doctype html>")
"""


def taking(lines: str) -> Callable[[Path, Path, Path], list[str]]:
    """A judge that takes any model, without goldens.

    Args:
        lines: Python that makes the ``digest`` of what lies at ``model``.
    """
    code = TAKES.format(lines=lines.strip(), report=REPORT)

    def command(model: Path, checkpoint: Path, reports: Path) -> list[str]:
        return [sys.executable, "-c", code, str(model), str(reports)]

    return command


def judge(verdict: str) -> object:
    def command(model: Path, checkpoint: Path, reports: Path) -> list[str]:
        return [sys.executable, "-c", JUDGE.replace("{report!r}", repr(REPORT)), str(model), str(reports), verdict]

    return command


def build(out: Path, verdict: str = "pass", model: str = "demo", apk: str = "skip", told: str = "") -> pipeline.Built:
    pipeline.judge = judge(verdict)  # type: ignore[assignment]
    progress = Lines() if told else Silent()
    return pipeline.build(
        Request("android", model, out, context=96, prefill=(16,), modalities=(), flags={"apk": apk}), progress
    )


if __name__ == "__main__":
    guard.guarded(lambda: build(Path(sys.argv[1]), *sys.argv[2:]))
