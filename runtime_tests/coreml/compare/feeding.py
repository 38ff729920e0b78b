"""Rung 0 for Core ML, fifth part: what the bundle says of a call, against transformers' config, packages and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime_tests.coreml.case import FIRST, SECOND, CoremlCase
from runtime_tests.coreml.feeding import rotary_rows
from runtime_tests.coreml.session import KINDS, NAMES, prefill_lengths
from runtime_tests.errors import InputError
from runtime_tests.readers.coreml.mlpackage import MlPackage
from runtime_tests.readers.coreml.rows import Rows, open_rows
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.feeding import Calls, Linked
from runtime_tests.results import Check, at_most, none
from runtime_tests.rungs.feeding import compare_tokens

HIDDEN, HALF = -1e4, float(np.finfo(np.float16).max)
POSITIONS = 257  # compared of a context: the first, the last, and some between
STEPS = 4.0  # the last bit of a frequency is up to two of the angle's, rounding of products and cosines the rest
_HEADER = ("rows", "columns", "bits", "groups", "row_bytes", "rows_offset", "scales_offset", "multiplier")


def compare_feeding(case: CoremlCase) -> list[Check]:
    """Every field of the bundle's ``feeding``; nothing to check of a bare package."""
    if case.feeding is None:
        return []
    calls = case.feeding.calls
    if calls is None:
        return [none("feeding: calls", ["null, and no runtime makes them"], "differences", 1)]
    wrong = _outside(calls, case)
    checks = [
        none("feeding: rotary embedding and window", _types(case, calls), "differences", len(calls.layer_types)),
        *_rows(case, calls),
        none("feeding: mask", _mask(calls), "differences", 2),
        none("feeding: chunks", _chunks(case, calls), "differences", len(calls.chunks.lengths)),
        none("feeding: inputs and outputs", wrong, "differences", len(calls.inputs)),
        none("feeding: parts and states", _parts(case, calls), "differences", len(calls.parts)),
        none("feeding: row tables", _tables(case, calls), "differences", len(calls.tables)),
    ]
    return [*checks, *compare_tokens(case)]


def _types(case: CoremlCase, calls: Calls) -> list[str]:
    dims, ropes = case.dims, case.folder.transformers.get_text_config().rope_parameters
    if calls.layer_types.keys() != {*dims.kinds}:
        return [f"layer types {sorted(calls.layer_types)}, config.json has {sorted(set(dims.kinds))}"]
    wrong = []
    for kind, type in sorted(calls.layer_types.items()):
        given = ropes[kind]
        whole = given["rope_type"] == "default"  # turns the whole head, whatever the factor says
        expected: dict[str, Any] = {
            "theta": given["rope_theta"],
            "kind": given["rope_type"],
            "partial_factor": 1.0 if whole else given.get("partial_rotary_factor", 1.0),
            "head_dim": dims.head_dims[kind],
            "turning": int(np.count_nonzero(_frequencies(case, kind))),
            "window": dims.window if kind == SLIDING else None,
            "ring": case.ring if kind == SLIDING else None,
        }
        found = {
            **type.rotary.model_dump(),
            "window": type.window,
            "ring": None if type.ring is None else type.ring.rows,
        }
        wrong += [
            f"{kind}: {name} {found[name]}, {'the package has' if name == 'ring' else 'config.json says'} {value}"
            for name, value in expected.items()
            if found[name] != value
        ]
    return wrong


def _embedding(case: CoremlCase) -> Any:
    """transformers' own rotary embedding; it has no weights."""
    from transformers.models.gemma4.modeling_gemma4 import Gemma4TextRotaryEmbedding

    return Gemma4TextRotaryEmbedding(case.folder.transformers.get_text_config())


def _frequencies(case: CoremlCase, kind: str) -> Any:
    return getattr(_embedding(case), f"{kind}_inv_freq").numpy()


def _rows(case: CoremlCase, calls: Calls) -> list[Check]:
    """The rows that the bundle's numbers give, against transformers' own, in float32 steps of the angle."""
    import torch

    positions = np.unique(np.linspace(0, case.context - 1, POSITIONS).astype(np.int64))
    worst, note = 0.0, f"{len(positions)} positions up to {case.context - 1}"
    for kind, type in sorted(calls.layer_types.items()):
        if kind not in case.dims.kinds:
            continue
        with torch.no_grad():
            own = _embedding(case)(torch.zeros(1), torch.from_numpy(positions)[None], kind)
        expected = [rows[0].numpy().astype(np.float64) for rows in own]
        found = rotary_rows(type.rotary, positions)
        if found[0].shape != expected[0].shape:
            return [none("feeding: rotary rows", [f"{kind}: {found[0].shape[1]} columns"], "rows", len(positions))]
        half = type.rotary.head_dim // 2
        angles = np.tile(positions[:, None] * _frequencies(case, kind)[None, :half], 2)
        off = max(
            float((np.abs(f - e) / np.spacing(np.float32(1) + np.abs(angles).astype(np.float32))).max())
            for f, e in zip(found, expected, strict=True)
        )
        if off > worst:
            worst, note = off, f"{kind}; {note.rpartition('; ')[2]}"
    return [at_most("feeding: rotary rows, largest difference", worst, STEPS, "float32 steps", note)]


def _mask(calls: Calls) -> list[str]:
    """Hidden positions must weigh nothing, and the number must be one that float16 has."""
    mask = calls.mask
    wrong = [] if mask.visible == 0 else [f"visible {mask.visible:g}, expected 0"]
    good = -HALF <= mask.hidden <= HIDDEN
    return wrong + ([] if good else [f"hidden {mask.hidden:g}, expected at most {HIDDEN:g} and within float16"])


def _chunks(case: CoremlCase, calls: Calls) -> list[str]:
    chunks = calls.chunks
    found = [(one.tokens, one.function) for one in chunks.lengths]
    expected = [*prefill_lengths(case.package.functions).items()]
    wrong = [] if found == expected else [f"lengths {found}, the package has {expected}"]
    return wrong + ([] if chunks.context == case.context else [f"context {chunks.context}, not {case.context}"])


def _packages(case: CoremlCase) -> tuple[MlPackage, ...]:
    return case.package.parts or (case.package,)


def _outside(calls: Calls, case: CoremlCase) -> list[str]:
    """Where inputs come from, by the names that the target gives them; what is not among these comes from a part."""
    taken: dict[str, tuple[str, str]] = {}
    for part in _packages(case):
        for function in part.functions.values():
            plain = (name for name, type in function.inputs.items() if not type.state)
            taken |= {name: NAMES.get(name, ("earlier_part", "")) for name in plain}
    found = {one.name: (one.source, one.table or one.layer_type or "") for one in calls.inputs}
    wrong = [
        f"input {name}: {found.get(name)}, expected {taken.get(name)}"
        for name in sorted({*found, *taken})
        if found.get(name) != taken.get(name)
    ]
    wrong += [] if len(found) == len(calls.inputs) else ["an input is listed twice"]
    ends = {output for function in case.package.functions.values() for output in function.outputs}
    listed = {one.name: one.meaning for one in calls.outputs}
    expected = {name: "logits" if name == "logits" else "nothing" for name in ends}
    return wrong + ([] if listed == expected else [f"outputs {listed}, expected {expected}"])


def _parts(case: CoremlCase, calls: Calls) -> list[str]:
    parts, wrong = _packages(case), list[str]()
    names = [part.path.name for part in parts]
    if [one.model for one in calls.parts] != names:
        return [f"parts {[one.model for one in calls.parts]}, there are {names}"]
    left = {
        f"{kind}{suffix}": [o.layer for o in case.dims.owners if suffix in ("", f"_{case.suffix(o.layer)}")]
        for kind in ("keys", "values")
        for suffix in ("", *(f"_{suffix}" for suffix in KINDS.values()))
    }
    for number, (said, part) in enumerate(zip(calls.parts, parts, strict=True)):
        expected = {name: _linked(name, parts, number) for name in part.functions}
        if said.functions != expected:
            wrong.append(f"{said.model}: functions {said.functions}, expected {expected}")
        states = {n: t.shape[0] for f in part.functions.values() for n, t in f.inputs.items() if t.state}
        held = {name: (name.split("_")[0], left[name][:count]) for name, count in states.items() if name in left}
        for name, count in states.items():
            left[name] = left.get(name, [])[count:]
        found = {one.name: (one.holds, one.layers) for one in said.states}
        if found != held:
            wrong.append(f"{said.model}: states {found}, expected {held}")
    return wrong


def _linked(name: str, parts: tuple[MlPackage, ...], number: int) -> Linked:
    """What a function of a part takes and gives: each name that an earlier or a later part has too."""
    function = parts[number].functions[name]
    before = {out for part in parts[:number] if name in part.functions for out in part.functions[name].outputs}
    after = {one for part in parts[number + 1 :] if name in part.functions for one in part.functions[name].inputs}
    return Linked(
        takes=[one for one in function.inputs if one in before], gives=[one for one in function.outputs if one in after]
    )


def _tables(case: CoremlCase, calls: Calls) -> list[str]:
    dims = case.dims
    shapes = {FIRST: [dims.hidden]} | ({SECOND: [dims.layers, dims.per_layer_width]} if dims.per_layer_width else {})
    if calls.tables.keys() != shapes.keys():
        return [f"tables {sorted(calls.tables)}, expected {sorted(shapes)}"]
    wrong = []
    for key, said in sorted(calls.tables.items()):
        if said.shape != shapes[key]:
            wrong.append(f"{key}: shape {said.shape}, config.json says {shapes[key]}")
        try:
            table: Rows = open_rows(case.package.path.parent / said.file)
        except InputError as error:
            wrong.append(f"{key}: {error}")
            continue
        if table.name != key:
            wrong.append(f"{key}: {said.file} is the table {table.name!r}")
        wrong += [
            f"{key}: {name} {getattr(said, name)}, {said.file} says {getattr(table, name)}"
            for name in _HEADER
            if getattr(said, name) != getattr(table, name)
        ]
    return wrong
