"""Faults in the data of ONNX models: codes, scales, tables and floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.mutants.mutant import Edit, Mutant
from tests.support.onnx.patient import Patient

KIND, TARGET = "weights", "onnx"
DOWN, TABLE, SECOND = "layers.3.mlp.down_proj", "embed_tokens", "embed_tokens_per_layer"


def _codes(key: str, change: Callable[[Any], None]) -> Callable[[Patient], None]:
    """Changes a matrix's bytes, uint8 ``[rows, width]``."""

    def apply(patient: Patient) -> None:
        rows = patient.constant(f"{key}.codes").dims[0]
        change(patient.weight(f"{key}.codes", "u1").reshape(rows, -1))

    return apply


def _words(name: str, change: Callable[[Any], None]) -> Callable[[Patient], None]:
    """Changes float32 numbers as words of 32 bits, ``[rows, ...]``."""

    def apply(patient: Patient) -> None:
        change(patient.weight(name, "u4").reshape(tuple(patient.constant(name).dims)))

    return apply


def _bit(at: tuple[int, int]) -> Callable[[Any], None]:
    def change(codes: Any) -> None:
        codes[at] ^= 1

    return change


def _swapped(a: int, b: int) -> Callable[[Any], None]:
    def change(rows: Any) -> None:
        rows[[a, b]] = rows[[b, a]]

    return change


def _one_late(rows: Any) -> None:
    rows[:] = np.roll(rows, 1, axis=0)


def _turned(rows: Any) -> None:
    rows[5] = np.roll(rows[5], 1)


def _ulp(at: tuple[int, ...]) -> Callable[[Any], None]:
    def change(words: Any) -> None:
        words[at] += 1

    return change


def _doubled(words: Any) -> None:
    words.view(np.float32)[:] *= 2


def _next_group(words: Any) -> None:
    words[:] = np.roll(words, 1, axis=1)


def _ones(patient: Patient) -> None:
    """The scale that a matrix shares with others of its shape, of one block of one row."""
    node = next(n for n in patient.proto.graph.node if f"{DOWN}.codes" in n.input)
    patient.weight(node.input[2], "f4")[3] = 1.5


def _exchanged(part: str) -> Callable[[Patient], None]:
    """Two matrices of one shape, each with the other's place in the data."""

    def apply(patient: Patient) -> None:
        a, b = (patient.constant(f"layers.{i}.mlp.gate_proj.{part}").external_data for i in (0, 1))
        for one, other in zip(a, b, strict=True):
            one.value, other.value = other.value, one.value

    return apply


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("0",), Edit(change), TARGET)


MUTANTS = (
    _mutant("one_code_off_by_one", "one bit of a code of the MLP", _codes(DOWN, _bit((4, 1)))),
    _mutant("code_of_attention", "the same in attention", _codes("layers.0.self_attn.q_proj", _bit((0, 0)))),
    _mutant("code_of_the_head", "the same in the head", _codes("lm_head", _bit((40, 2)))),
    _mutant("code_of_the_projection", "and of a per-layer gate", _codes("layers.1.per_layer_input_gate", _bit((1, 1)))),
    _mutant("rows_of_a_matrix_swapped", "two rows of codes exchanged", _codes(DOWN, _swapped(2, 3))),
    _mutant("row_of_a_matrix_turned", "the bytes of a row one place on", _codes(DOWN, _turned)),
    _mutant("matrix_one_row_late", "every row of codes one place on", _codes(DOWN, _one_late), "0", "2a"),
    _mutant("codes_exchanged", "two matrices have each other's codes", _exchanged("codes"), "0", "2a"),
    _mutant("scales_exchanged", "two matrices have each other's scales", _exchanged("scales"), "0", "2a"),
    _mutant("row_scale_one_ulp", "a scale by one unit in the last place", _words(f"{DOWN}.scales", _ulp((7,)))),
    _mutant("row_scales_doubled", "a matrix counts twice", _words(f"{DOWN}.scales", _doubled), "0", "2a"),
    _mutant("block_scale_not_one", "a block of codes counts half more", _ones),
    _mutant("norm_one_ulp", "one number of a norm", _words("layers.1.input_layernorm.weight", _ulp((3,)))),
    _mutant("residual_scalar_doubled", "a layer counts twice", _words("layers.2.layer_scalar", _doubled), "0", "2a"),
    _mutant("code_of_a_row", "one code of one token's embedding", _codes(TABLE, _bit((10, 3)))),
    _mutant("code_of_a_per_layer_row", "the same of the per-layer embedding", _codes(SECOND, _bit((10, 3)))),
    _mutant("rows_swapped", "the codes of two tokens exchanged", _codes(TABLE, _swapped(300, 301))),
    _mutant("rows_one_late", "every token has the codes of the one before it", _codes(TABLE, _one_late), "0", "2a"),
    _mutant("scale_of_a_row_one_ulp", "one row's scale", _words(f"{TABLE}.scales", _ulp((7, 0)))),
    _mutant(
        "scales_of_the_next_layer",
        "each scale of the per-layer embedding one layer on",
        _words(f"{SECOND}.scales", _next_group),
        "0",
        "2a",
    ),
    _mutant("q4_0_code_flipped", "one bit of a code", _codes(DOWN, _bit((4, 1))), bed="q4_0"),
    _mutant("q4_0_block_scale", "a block's scale", _words(f"{DOWN}.scales", _ulp((7, 0))), bed="q4_0"),
    _mutant(
        "q4_0_scales_late", "each block has its neighbour's scale", _words(f"{DOWN}.scales", _next_group), bed="q4_0"
    ),
)
