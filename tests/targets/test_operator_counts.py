"""How many operators of each kind every signature of every target has, beside the golden: a lost fusion shows here.

A target's folder here holds ``operators.py``, which counts, and the golden. ``python -m
tests.targets.test_operator_counts`` writes the goldens anew; they are reviewed as a diff.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from convert.targets import all_targets
from tests.support.checkpoints import small

HERE = Path(__file__).parent
TARGETS = tuple(all_targets())
Counts = dict[str, dict[str, int]]


def room(target: str) -> Any:
    """The module of a target that counts."""
    return import_module(f"tests.targets.{target}.operators")


def golden(target: str) -> Path:
    return HERE / target / "operator_counts.json"


def kept(target: str) -> dict[str, Counts]:
    found: dict[str, Counts] = json.loads(golden(target).read_text("utf-8"))
    return found


@pytest.mark.parametrize(("target", "name"), [(target, name) for target in TARGETS for name in room(target).CASES])
def test_every_signature_has_the_operators_of_the_golden(
    target: str, name: str, mobile_e2b: Path, q4_0_e2b: Path, tmp_path: Path
) -> None:
    format, choice = room(target).CASES[name]
    checkpoint = {"mobile": mobile_e2b, "q4_0": q4_0_e2b}[format]
    assert room(target).count(checkpoint, tmp_path, choice) == kept(target)[name]


@pytest.mark.parametrize("target", TARGETS)
def test_the_golden_of_a_target_lists_every_case_and_nothing_else(target: str) -> None:
    assert list(kept(target)) == list(room(target).CASES)
    assert golden(target).stat().st_size < 10_000


@pytest.mark.parametrize("target", [target for target in TARGETS if hasattr(room(target), "SHARED")])
def test_an_operator_that_is_no_longer_shared_shows_in_the_counts(
    target: str, mobile_e2b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """q, k and v read one quantized input; here each makes its own."""
    name, more, graph = room(target).SHARED
    shared = graph.once
    monkeypatch.setattr(
        graph, "once", lambda self, key, make: make() if key[0] == "quantize" else shared(self, key, make)
    )
    found, before = room(target).count(mobile_e2b, tmp_path, room(target).CASES[name][1]), kept(target)[name]
    decode = next(signature for signature in before if signature.endswith("decode"))
    assert found[decode][more] > before[decode][more]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for target in TARGETS:
            made: dict[str, Counts] = {}
            for name, (format, choice) in room(target).CASES.items():
                checkpoint, folder = Path(scratch) / format, Path(scratch) / f"{target} {name}"
                folder.mkdir()
                if not checkpoint.exists():
                    small.write(checkpoint, format, "e2b")
                made[name] = room(target).count(checkpoint, folder, choice)
            golden(target).write_text(json.dumps(made, indent=1) + "\n", "utf-8")
            sys.stdout.write(f"written: {golden(target).relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
