"""Faults in where a program finds its weights, and damage to the files themselves: most the judge must refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.mutants.mutant import REFUSED, Edit, Mutant
from tests.support.coreml.patient import WEIGHTS, Patient

KIND, TARGET = "records", "coreml"


def _place(patient: Patient, linear: str, parameter: str, function: str) -> Any:
    """Where a function finds a parameter of a compressed weight, to be written to."""
    op = patient.operation(f"{linear}_weight", function)
    return op.inputs[parameter].arguments[0].value.blobFileValue


def _exchanged(functions: tuple[str, ...], parameter: str = "data") -> Callable[[Patient], None]:
    """The records of two layers' gate_proj, of one type and shape."""

    def change(patient: Patient) -> None:
        for function in functions:
            a, b = (_place(patient, f"layers_{i}_mlp_gate_proj", parameter, function) for i in (1, 2))
            a.offset, b.offset = b.offset, a.offset

    return change


def _nowhere(patient: Patient) -> None:
    for function in FUNCTIONS:
        _place(patient, "layers_1_mlp_gate_proj", "data", function).offset += 32


def _beyond(patient: Patient) -> None:
    for function in FUNCTIONS:
        _place(patient, "layers_1_mlp_gate_proj", "data", function).offset = 1 << 40


def _outside(patient: Patient) -> None:
    for function in FUNCTIONS:
        _place(patient, "layers_1_mlp_gate_proj", "data", function).fileName = "@model_path/../../../feeding.json"


def _field(at: int, value: int, size: int) -> Callable[[Patient], None]:
    """A field of the metadata of one record: 4: its type, 8: its size, 16: where its data lie."""

    def change(patient: Patient) -> None:
        offset = _place(patient, "layers_1_mlp_gate_proj", "data", "decode").offset
        file = np.memmap(patient.path / WEIGHTS, np.uint8, "r+")
        file[offset + at : offset + at + size] = np.frombuffer(value.to_bytes(size, "little"), np.uint8)

    return change


def _cut(name: str, part: float) -> Callable[[Patient], None]:
    def change(patient: Patient) -> None:
        path = patient.path / name
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * part))

    return change


class _Garbage(bytes):
    """A program that is none; written where the patient writes its own."""

    def SerializeToString(self, deterministic: bool) -> bytes:  # noqa: N802
        return bytes(self)


def _no_program(patient: Patient) -> None:
    patient.model = _Garbage(b"\xff" * 64)


def _half_a_program(patient: Patient) -> None:
    content = patient.model.SerializeToString(deterministic=True)
    patient.model = _Garbage(content[: len(content) // 2])


def _manifest(change: Callable[[dict[str, Any], Path], None]) -> Callable[[Patient], None]:
    """The package's own list of its files."""

    def apply(patient: Patient) -> None:
        path = patient.path / "Manifest.json"
        content = json.loads(path.read_text("utf-8"))
        change(content, patient.path)
        path.write_text(json.dumps(content), "utf-8")

    return apply


def _no_root(content: dict[str, Any], folder: Path) -> None:
    content["rootModelIdentifier"] = "00000000-0000-0000-0000-000000000000"


def _root_outside(content: dict[str, Any], folder: Path) -> None:
    content["itemInfoEntries"][content["rootModelIdentifier"]]["path"] = "../../feeding.json"


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or (REFUSED,), Edit(change), TARGET)


FUNCTIONS = ("prefill_16", "prefill_64", "decode")
MUTANTS = (
    _mutant("offsets_exchanged", "two layers read each other's codes", _exchanged(FUNCTIONS), "0", "2a"),
    _mutant(
        "offsets_of_scales_exchanged", "two layers read each other's scales", _exchanged(FUNCTIONS, "scale"), "0", "2a"
    ),
    _mutant(
        "offsets_exchanged_in_one_function",
        "one prefill alone reads other codes than decode",
        _exchanged(("prefill_64",)),
        "0",
        "2a",
    ),
    _mutant("offset_between_records", "a place where no record begins", _nowhere),
    _mutant("offset_beyond_the_file", "a place behind the end of weight.bin", _beyond),
    _mutant("weights_in_another_file", "the program reads a file outside its package", _outside),
    _mutant("record_of_another_type", "a record's metadata say int8", _field(4, 4, 4)),
    _mutant("record_too_long", "a record announces more than the file has", _field(8, 1 << 40, 8)),
    _mutant("record_without_its_mark", "a record does not begin as one", _field(0, 0, 4)),
    _mutant("record_misplaced", "a record's data lie beyond the file", _field(16, 1 << 40, 8)),
    _mutant("weights_cut", "half of weight.bin", _cut(WEIGHTS, 0.5)),
    _mutant("last_weights_cut", "the end of weight.bin is missing", _cut(WEIGHTS, 0.99)),
    _mutant("no_program", "bytes that are no model", _no_program),
    _mutant("half_a_program", "a model that ends in the middle", _half_a_program),
    _mutant("no_list_of_files", "no Manifest.json", lambda p: (p.path / "Manifest.json").unlink()),
    _mutant("list_without_its_model", "Manifest.json names a model that it does not list", _manifest(_no_root)),
    _mutant("list_leads_outside", "Manifest.json names a file beside the package", _manifest(_root_outside)),
)
