"""A package run segment by segment gives what it gives call by call, to the bit; wrong programs too."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.forced import forced_calls, forced_logits
from runtime_tests.coreml.program import segments
from runtime_tests.coreml.program.evaluator import Arithmetic
from runtime_tests.coreml.program.layered import Layered
from runtime_tests.coreml.session import DECODE
from runtime_tests.kinds import open_case
from tests.support.coreml.patient import Patient

PROMPT, TOKENS = 41, 46  # the window is 24


@pytest.fixture(scope="module")
def packages(
    mobile_e2b: Path, mobile_e4b: Path, q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CoremlCase]:
    """Shared layers in all; one head and two, packed and float heads, all precisions, one package and parts."""
    from convert.checkpoint import open_checkpoint, with_digests
    from convert.progress import Silent
    from convert.targets.coreml import CoremlOptions, convert, rows

    made = {}
    for name, folder, options in (
        ("mobile", mobile_e2b, CoremlOptions(96, (8, 32))),
        ("mobile, parts", mobile_e4b, CoremlOptions(96, (32,), "float16", "ane", 4)),
        ("q4_0", q4_0_e2b, CoremlOptions(96, (32,), "float32")),
    ):
        out, opened = tmp_path_factory.mktemp("package"), with_digests(open_checkpoint(folder))
        convert(opened, options, out / "Model.mlpackage", Silent())
        rows.write(opened, out, lambda n: None)
        case = open_case(out / "Model.mlpackage", folder)
        assert isinstance(case, CoremlCase)
        made[name] = case
    return made


def one_by_one(case: CoremlCase, arithmetic: Arithmetic) -> NDArray[np.float64]:
    """The forced logits, function by function: one state, all weights."""
    evaluator = case.evaluator(arithmetic)
    state, rows = evaluator.new_state(DECODE), []
    for call in forced_calls(case, case.ids[:TOKENS], PROMPT):
        made = evaluator.run(call.function, call.inputs, state)
        rows += [made["logits"].numpy().reshape(-1)] if call.function == DECODE else []
    return np.stack(rows).astype(np.float64)


@pytest.mark.parametrize("arithmetic", ["declared", "float64"])
@pytest.mark.parametrize("name", ["mobile", "mobile, parts", "q4_0"])
def test_segment_by_segment_is_call_by_call_to_the_bit(
    packages: dict[str, CoremlCase], name: str, arithmetic: Arithmetic
) -> None:
    case = packages[name]
    found = forced_logits(case, arithmetic, case.ids[:TOKENS], PROMPT)
    assert found.std() > 0.1
    assert found.tobytes() == one_by_one(case, arithmetic).tobytes()


def test_every_layer_is_a_segment_and_holds_the_weights_of_that_layer_alone(packages: dict[str, CoremlCase]) -> None:
    for case in packages.values():
        parts = segments.cut(case.package)
        assert [part.layer for part in parts] == list(range(case.dims.layers + 1))
        for part in parts:
            weights = {op.name for f in part.functions.values() for op in f.operations if "_weight" in op.name}
            assert weights
            if 0 < part.layer < case.dims.layers:
                assert all(name.startswith(f"layers_{part.layer}_") for name in weights)


def test_only_layers_that_share_keys_see_those_of_another_layer(packages: dict[str, CoremlCase]) -> None:
    """Of a ring they get what its owner saw, and do not look at the state."""
    case = packages["mobile"]
    kinds, owners = case.dims.kinds, [owner.layer for owner in case.dims.owners]
    for part in segments.cut(case.package)[: case.dims.layers]:
        owner = case.dims.owner_of(part.layer)
        number = [layer for layer in owners if kinds[layer] == kinds[owner]].index(owner)
        seen = {extent for extents in part.reads.values() for extent in extents}
        by_value = owner != part.layer and case.rows(owner) < case.context
        assert seen == (set() if by_value else {(number, number + 1)})


def test_wide_matrices_are_run_in_slices_of_rows(packages: dict[str, CoremlCase]) -> None:
    for case in packages.values():
        calls = forced_calls(case, case.ids[:TOKENS], PROMPT)
        layered, wide = Layered(case.package, "float64"), case.dims.vocab * case.dims.hidden // 4
        layered.segments = segments.cut(case.package, wide)
        functions = [part.functions[DECODE] for part in layered.segments if DECODE in part.functions]
        sizes = [prod(op.outputs[0][1].shape) for f in functions for op in f.operations if "_weight" in op.name]
        assert max(sizes) <= wide + 8 * case.dims.hidden
        names = [name for f in functions for op in f.operations if "@" in (name := op.name) and op.kind == "linear"]
        assert sum(name.startswith(names[-1].split("@")[0]) for name in names) == 4
        layered.run(calls)
        found = np.stack([call.outputs["logits"].numpy().reshape(-1) for call in calls if call.function == DECODE])
        np.testing.assert_allclose(found, one_by_one(case, "float64"), rtol=0, atol=1e-12)


def changed(case: CoremlCase, folder: Path, change: Callable[[Patient], None]) -> CoremlCase:
    patient = Patient(case.package.path, folder)
    change(patient)
    made = open_case(patient.close(), case.folder.path)
    assert isinstance(made, CoremlCase)
    made.feed = case.feed
    return made


def into_another_layer(patient: Patient) -> None:
    """In decode, the fourth owner's keys go where the second one's lie."""
    updates = [op for op in patient.block("decode").operations if op.type == "slice_update"]
    for corner in ("begin", "end"):
        updates[6].inputs[corner].CopyFrom(updates[2].inputs[corner])


def from_another_layer(patient: Patient) -> None:
    """In decode, the second owner looks at the values of the third, which are those of the call before."""
    block = patient.block("decode")
    constants = [op for op in block.operations if op.type == "const"]
    others = [op for op in block.operations if op.type != "const"]
    del block.operations[:]
    block.operations.extend([*constants, *others])
    read = {op.outputs[0].name for op in block.operations if _of_sliding_values(op)}
    slices = [op for op in block.operations if op.type == "slice_by_index" and op.inputs["x"].arguments[0].name in read]
    for corner in ("begin", "end"):
        slices[1].inputs[corner].CopyFrom(slices[2].inputs[corner])


def _of_sliding_values(op: Any) -> bool:
    return bool(op.type == "read_state") and op.inputs["input"].arguments[0].name == "values_sliding"


def not_written(patient: Patient) -> None:
    block = patient.block("prefill_32")
    write = [i for i, op in enumerate(block.operations) if op.type == "write_state"][3]
    del block.operations[write]


def written_late(patient: Patient) -> None:
    """Decode stores the first owner's keys at its end, over what all other layers have written since."""
    block = patient.block("decode")
    at = next(i for i, op in enumerate(block.operations) if op.type == "write_state")
    moved = type(block.operations[at])()
    moved.CopyFrom(block.operations[at])
    del block.operations[at]
    block.operations.append(moved)


@pytest.mark.parametrize(
    ("change", "least"), [(into_another_layer, 2), (from_another_layer, 1), (not_written, 0), (written_late, 5)]
)
def test_programs_whose_layers_meet_in_a_state_are_cut_less_and_run_as_they_are(
    packages: dict[str, CoremlCase], tmp_path: Path, change: Callable[[Patient], None], least: int
) -> None:
    good = packages["mobile"]
    case = changed(good, tmp_path / "copy", change)
    assert len(segments.cut(good.package)) - len(segments.cut(case.package)) >= least
    found = forced_logits(case, "float64", case.ids[:TOKENS], PROMPT)
    assert found.tobytes() == one_by_one(case, "float64").tobytes()
    assert not np.array_equal(found, forced_logits(good, "float64", case.ids[:TOKENS], PROMPT))


def test_a_program_without_named_layers_is_one_segment(packages: dict[str, CoremlCase], tmp_path: Path) -> None:
    def change(patient: Patient) -> None:
        for name in ("decode", "prefill_8", "prefill_32"):
            for op in patient.block(name).operations:
                for items in (op.outputs, *(argument.arguments for argument in op.inputs.values())):
                    for item in items:
                        if not item.name:  # a constant
                            continue
                        item.name = item.name.replace("_output", "_end")

    good = packages["mobile"]
    case = changed(good, tmp_path / "copy", change)
    assert len(segments.cut(case.package)) == 1
    found = forced_logits(case, "float64", case.ids[:TOKENS], PROMPT)
    assert found.tobytes() == one_by_one(good, "float64").tobytes()
