"""How sharp the self-test of a Core ML bundle is: ``python -m tests.samples.sharpness``.

Each fault of the catalogue that changes a finished package is put into the demo's, and so are windows off by one and
the gains of another layer; the Swift self-test replays the goldens in it, by logits. The judge's own rungs catch all of
these; an app has only the goldens.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convert import tables
from runtime_tests.errors import CannotRunError, InputError
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Edit
from tests.samples.ios.test_program import changed, layer, made, self_test
from tests.support.coreml.patient import Patient

FURTHER = "further"
LAYERS = ((1, 2, "mlp_up_proj"), (0, 3, "mlp_up_proj"), (1, 3, "mlp_down_proj"), (0, 4, "self_attn_o_proj"))


def _gains(one: int, other: int, linear: str) -> Callable[[Patient], None]:
    """A layer's linear with the gains of another layer's."""

    def change(patient: Patient) -> None:
        to, source = (patient.stored(f"layers_{layer}_{linear}_gain", "decode") for layer in (one, other))
        to[:] = source

    return change


def _window(by: int) -> Callable[[dict[str, Any]], object]:
    def change(manifest: dict[str, Any]) -> None:
        sliding = layer(manifest, "sliding_attention")
        sliding["window"] += by

    return change


Put = Callable[[Path, Path], object]  # a fault, from a bundle into a new folder


def _edited(change: Callable[[Patient], object]) -> Put:
    def put(bundle: Path, folder: Path) -> None:
        patient = Patient(bundle / "Model.mlpackage", folder)
        change(patient)
        patient.close()

    return put


def _faults() -> Iterator[tuple[str, str, Put]]:
    """Name, kind and fault: first those of the catalogue."""
    for mutant in MUTANTS:
        if mutant.target == "coreml" and isinstance(mutant.fault, Edit) and mutant.bed != "q4_0":
            yield mutant.name, mutant.kind, _edited(mutant.fault.change)
    for by in (-1, 1):
        yield f"window_off_by_{by:+d}", FURTHER, lambda bundle, folder, by=by: changed(bundle, folder, _window(by))
    for one, other, linear in LAYERS:
        yield f"layer_{one}_{linear}_gains_of_layer_{other}", FURTHER, _edited(_gains(one, other, linear))


def _tried(folder: Path, scratch: Path) -> tuple[str, str, str]:
    """Verdict, the largest difference of a logit, and the mean of each step's largest."""
    try:
        found = self_test(folder, scratch)
    except (InputError, CannotRunError):  # the package does not open
        return "refused", "", ""
    if "error" in found:
        return "refused", "", ""
    return found["verdict"], f"{found['largest']:.3g}", f"{found['mean']:.3g}"


def main() -> None:
    rows, verdicts = list[tuple[str, ...]](), list[str]()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        bundle = made(scratch / "dist")
        rows.append(("(no fault)", "", *_tried(bundle, scratch)))
        for fault, kind, put in _faults():
            put(bundle, scratch / fault)
            rows.append((fault, kind, *_tried(scratch / fault, scratch)))
            if kind != FURTHER:
                verdicts.append(rows[-1][2])
    headings = ("fault", "kind", "verdict", "largest ", "mean ")
    sys.stdout.write(tables.table("faults of a Core ML package", headings, rows))
    caught = len(verdicts) - verdicts.count("passed")
    sys.stdout.write(f"\n{caught} of {len(verdicts)} of the catalogue caught by the goldens alone\n")


if __name__ == "__main__":
    main()
