"""How many operators of each kind every signature of every target has, beside the golden: a lost fusion shows here.

``python -m tests.targets.test_operator_counts`` writes the golden anew; it is reviewed as a diff.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets import coreml, litert
from convert.targets.coreml.graph import Function as CoremlGraph
from convert.targets.litert.graph import Subgraph as LitertGraph
from runtime_tests.readers.coreml.parts import open_parts
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite
from tests.support.checkpoints import small

GOLDEN = Path(__file__).with_name("operator_counts.json")
CONTEXT, PREFILL = 64, (16,)
Counts = dict[str, dict[str, int]]


def of_litert(checkpoint: Path, folder: Path, cache: str) -> Counts:
    """By section and signature, of the finished file."""
    out = folder / "model.litertlm"
    litert.convert(open_checkpoint(checkpoint), litert.LitertOptions(CONTEXT, PREFILL, cache), out, Silent())
    found = {}
    for section, placed in open_litertlm(out).models().items():
        model = open_tflite(placed.data, section)
        for name in model.signatures:
            codes = Counter(op.code for op in model.subgraph(name).operators)
            found[f"{section} {name}"] = dict(sorted(codes.items()))
    return found


def of_coreml(checkpoint: Path, folder: Path, profile: str) -> Counts:
    """By function, of the finished package or of its parts together; constants are no operators."""
    out = folder / "Model.mlpackage"
    options = coreml.CoremlOptions(CONTEXT, PREFILL, "float16", profile, 4)  # type: ignore[arg-type]
    coreml.convert(open_checkpoint(checkpoint), options, out, Silent())
    return {
        name: dict(sorted(Counter(op.kind for op in function.operations if op.kind != "const").items()))
        for name, function in sorted(open_parts(out).functions.items())
    }


CASES: dict[str, tuple[Callable[[Path, Path, str], Counts], str, str]] = {
    "litert mobile float32 cache": (of_litert, "mobile", "float32"),
    "litert mobile int8 cache": (of_litert, "mobile", "int8"),
    "litert q4_0": (of_litert, "q4_0", "float32"),
    "coreml mobile gpu": (of_coreml, "mobile", "gpu"),
    "coreml mobile ane": (of_coreml, "mobile", "ane"),
    "coreml q4_0 gpu": (of_coreml, "q4_0", "gpu"),
}


def counted(name: str, checkpoint: Path, folder: Path) -> Counts:
    count, _, choice = CASES[name]
    return count(checkpoint, folder, choice)


@pytest.mark.parametrize("name", CASES)
def test_every_signature_has_the_operators_of_the_golden(
    name: str, mobile_e2b: Path, q4_0_e2b: Path, tmp_path: Path
) -> None:
    checkpoint = mobile_e2b if CASES[name][1] == "mobile" else q4_0_e2b
    assert counted(name, checkpoint, tmp_path) == json.loads(GOLDEN.read_text("utf-8"))[name]


def test_the_golden_lists_every_target_and_nothing_else() -> None:
    targets = {path.parent.name for path in Path(litert.__file__).parent.parent.glob("*/__init__.py")}
    kept = json.loads(GOLDEN.read_text("utf-8"))
    assert list(kept) == list(CASES)
    assert {name.split()[0] for name in kept} == targets
    assert GOLDEN.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("name", "graph", "more"),
    [
        ("litert mobile float32 cache", LitertGraph, "QUANTIZE"),
        ("coreml mobile gpu", CoremlGraph, "quantize"),
    ],
)
def test_an_operator_that_is_no_longer_shared_shows_in_the_counts(
    name: str, graph: Any, more: str, mobile_e2b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """q, k and v read one quantized input; here each makes its own."""
    shared = graph.once
    monkeypatch.setattr(
        graph, "once", lambda self, key, make: make() if key[0] == "quantize" else shared(self, key, make)
    )
    kept = json.loads(GOLDEN.read_text("utf-8"))[name]
    found = counted(name, mobile_e2b, tmp_path)
    decode = next(signature for signature in kept if signature.endswith("decode"))
    assert found[decode][more] > kept[decode][more]


def main() -> None:
    made: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (_, format, _) in CASES.items():
            checkpoint, folder = Path(scratch) / format, Path(scratch) / name.replace(" ", "_")
            folder.mkdir()
            if not checkpoint.exists():
                small.write(checkpoint, format, "e2b")
            made[name] = counted(name, checkpoint, folder)
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    sys.stdout.write(f"written: {GOLDEN.name}\n")


if __name__ == "__main__":
    main()
