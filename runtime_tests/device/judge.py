"""The rung ``device: <model>``: the phone's words against the bundle's goldens, not what the app thinks of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from runtime_tests.device.answers import Replay, SelfTest
from runtime_tests.report.golden import Golden, GoldenFile
from runtime_tests.results import Check, Rung, at_least, at_most, none, rung, stated

QUESTION = "does this phone say what the reference says?"


def judge(found: SelfTest, goldens: GoldenFile) -> Rung:
    """Compares every golden whose whole continuation is certain; the others bind nobody's text.

    Args:
        found: the phone's file.
        goldens: the bundle's ``golden.json``.
    """
    name = f"device: {found.device}"
    checks: list[Check] = [
        stated(f"{trial.backend} was left", 1, "backends", _line(trial.why)) for trial in found.trials if trial.why
    ]
    taken = [trial.report for trial in found.trials if trial.report is not None and not trial.why]
    if not taken:
        why = found.why or "no backend answered as the reference"
        checks.insert(0, at_least("backends taken", 0, 1, "backends", _line(why)))
        return rung(name, QUESTION, checks)
    replay = taken[-1]
    other = [] if replay.artifact_sha256 == goldens.artifact_sha256 else [replay.artifact_sha256[:12]]
    binding = [golden for golden in goldens.goldens if golden.certain == len(golden.continuation)]
    wrong, missing = _compare(replay, binding)
    compared = len(binding) - len(missing)
    return rung(
        name,
        QUESTION,
        [
            none("model files other than the bundle's", other, "files", 1),
            none("goldens not replayed", missing, "prompts", len(goldens.goldens)),
            none(f"answers differ on {replay.backend}", wrong, "prompts", compared),
            at_least("goldens compared", compared, 1, "prompts", f"{len(goldens.goldens)} in the bundle"),
            *_logits(replay, goldens),
            *checks,
        ],
    )


def _logits(replay: Replay, goldens: GoldenFile) -> list[Check]:
    """How far the phone says that its logits were off."""
    if replay.compared == "text":
        return []
    found = [inf if value is None else value for value in (replay.largest, replay.mean)]
    return [
        at_most("logits: the farthest", found[0], goldens.tolerance, "logits"),
        at_most("logits: on average", found[1], goldens.mean_tolerance, "logits"),
    ]


def _compare(replay: Replay, binding: Sequence[Golden]) -> tuple[list[str], list[str]]:
    said = {case.prompt: case.said for case in replay.cases}
    wrong, missing = [], []
    for golden in binding:
        if golden.prompt not in said:
            missing.append(_line(golden.prompt))
        elif said[golden.prompt] != golden.text:
            wrong.append(_line(f"{golden.text!r} is right, {said[golden.prompt]!r} was said"))
    return wrong, missing


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
