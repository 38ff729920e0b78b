"""How sharp the self-test of a Core ML bundle is: ``python -m tests.samples.sharpness``.

Each fault of the catalogue that changes a finished package is put into the demo's, and the Swift self-test replays the
goldens in it, by logits. The judge's own rungs catch all of these; an app has only the goldens.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from convert import tables
from runtime_tests.errors import CannotRunError, InputError
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Edit
from tests.samples.ios.test_program import made, self_test
from tests.support.coreml.patient import Patient


def main(*kinds: str) -> None:
    rows, caught, tried = list[tuple[str, ...]](), 0, 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        bundle = made(scratch / "dist")
        sound = self_test(bundle, scratch)
        rows.append(("(no fault)", "", sound["verdict"], f"{sound['largest']:.3g}", f"{sound['mean']:.3g}"))
        for mutant in MUTANTS:
            if mutant.target != "coreml" or not isinstance(mutant.fault, Edit) or mutant.bed == "q4_0":
                continue
            if kinds and mutant.kind not in kinds:
                continue
            folder = scratch / mutant.name
            patient = Patient(bundle / "Model.mlpackage", folder)
            mutant.fault.change(patient)
            patient.close()
            try:
                found = self_test(folder, scratch)
            except (InputError, CannotRunError):  # the package does not open
                found = {"error": ""}
            refused = "error" in found
            tried, caught = tried + 1, caught + (refused or found["verdict"] == "failed")
            numbers = ("", "") if refused else (f"{found['largest']:.3g}", f"{found['mean']:.3g}")
            rows.append((mutant.name, mutant.kind, "refused" if refused else found["verdict"], *numbers))
    sys.stdout.write(
        tables.table("faults of a Core ML package", ("fault", "kind", "verdict", "largest ", "mean "), rows)
    )
    sys.stdout.write(f"\n{caught} of {tried} caught by the goldens alone\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
