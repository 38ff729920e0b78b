"""Faults in numbers of ``weight.bin``: codes, scales, tables of values, floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.mutants.mutant import Edit, Mutant
from tests.support.coreml.patient import Patient

KIND, TARGET, DECODE = "weights", "coreml", "decode"
FOUR_BITS, TWO_BITS, Q4 = "layers_1_mlp_up_proj", "layers_7_mlp_down_proj", "layers_3_mlp_down_proj"
HALF = np.float16


def one_code(linear: str, at: int = 17) -> Callable[[Patient], None]:
    """The lowest bit of one code of a linear."""

    def change(patient: Patient) -> None:
        patient.bytes(f"{linear}_weight", "data", DECODE)[at] ^= 1

    return change


def _crumb(patient: Patient) -> None:
    patient.bytes(f"{TWO_BITS}_weight", "indices", DECODE)[5] ^= 4


def _nibbles_swapped(patient: Patient) -> None:
    codes = patient.bytes(f"{FOUR_BITS}_weight", "data", DECODE)
    codes[:] = (codes >> 4) | (codes << 4)


def _crumbs_reversed(patient: Patient) -> None:
    codes = patient.bytes(f"{TWO_BITS}_weight", "indices", DECODE)
    parts = [(codes >> shift) & 3 for shift in (0, 2, 4, 6)]
    codes[:] = parts[0] << 6 | parts[1] << 4 | parts[2] << 2 | parts[3]


def _offset_binary(patient: Patient) -> None:
    patient.bytes(f"{FOUR_BITS}_weight", "data", DECODE)[:] ^= 0x88


def _layers_swapped(patient: Patient) -> None:
    a, b = (patient.bytes(f"layers_{i}_self_attn_q_proj_weight", "data", DECODE) for i in (1, 2))
    a[:], b[:] = b.copy(), a.copy()


def _scale_ulp(patient: Patient) -> None:
    patient.bytes(f"{FOUR_BITS}_weight", "scale", DECODE).view(np.uint32)[5] += 1


def _scales_in_float16(patient: Patient) -> None:
    scales = patient.bytes(f"{FOUR_BITS}_weight", "scale", DECODE).view(np.float32)
    scales[:] = scales.astype(HALF)


def _scales_rolled(patient: Patient) -> None:
    scales = patient.bytes(f"{FOUR_BITS}_weight", "scale", DECODE).view(np.float32)
    scales[:] = np.roll(scales, 1)


def _tables(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    """Changes the values of 2-bit codes, float32 ``[rows, 4]``."""

    def apply(patient: Patient) -> None:
        change(patient.bytes(f"{TWO_BITS}_weight", "lut", DECODE).view(np.float32).reshape(-1, 4))

    return apply


def _entry_ulp(tables: Any) -> None:
    tables.view(np.uint32)[1, 0] += 1


def _entry_of_the_neighbour(tables: Any) -> None:
    tables[3, 0] = tables[3, 1]


def _entries_exchanged(tables: Any) -> None:
    tables[:] = tables[:, [0, 1, 3, 2]].copy()


def _from_zero(tables: Any) -> None:
    """Values of codes 0 to 3, as if they were not counted from the lowest."""
    tables[:] = tables - tables[:, :1]


def _table_of_the_next_row(tables: Any) -> None:
    tables[:] = np.roll(tables, 1, axis=0)


def _floats(name: str, change: Callable[[Any], Any]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        values = patient.stored(name, DECODE).view(np.float32)
        values[:] = change(values)

    return apply


def _scalars_swapped(patient: Patient) -> None:
    a, b = (patient.stored(f"layers_{i}_layer_scalar", DECODE) for i in (3, 4))
    a[:], b[:] = b.copy(), a.copy()


def _rounded(values: Any) -> Any:
    step = np.abs(values).max() / np.float32(127)
    return (np.rint(values / step) * step).astype(np.float32)


def _head(patient: Patient) -> None:
    patient.bytes("lm_head_weight", "indices", DECODE)[-8:] = 0


def _blocks_transposed(patient: Patient) -> None:
    scales = patient.bytes(f"{Q4}_weight", "scale", DECODE).view(np.float32)
    codes = patient.bytes(f"{Q4}_weight", "data", DECODE)
    columns = codes.size * 2 // scales.size  # of a block
    assert columns == 32
    rows = patient.operation(f"{Q4}_weight", DECODE).inputs["scale"].arguments[0].value.type.tensorType.dimensions
    shape = tuple(item.constant.size for item in rows)
    scales[:] = scales.reshape(shape).T.reshape(-1).copy()


def _block_scale_ulp(patient: Patient) -> None:
    """The next bfloat16 number."""
    patient.bytes(f"{Q4}_weight", "scale", DECODE).view(np.uint32)[3] += 1 << 16


def _gains_swapped(patient: Patient) -> None:
    gains = patient.stored(f"{FOUR_BITS}_gain", DECODE).view(np.float32)
    gains[[3, 4]] = gains[[4, 3]]


def _gain_ulp(patient: Patient) -> None:
    patient.stored(f"{FOUR_BITS}_gain", DECODE).view(np.uint32)[3] += 1


def _power_doubled(patient: Patient) -> None:
    patient.bytes(f"{FOUR_BITS}_weight", "scale", DECODE).view(HALF)[5] *= HALF(2)


def _mutant(name: str, what: str, change: Callable[[Patient], None], *expected: str, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("0",), Edit(change), TARGET)


MUTANTS = (
    _mutant("one_code_off_by_one", "one 4-bit code of one matrix is one too high or too low", one_code(FOUR_BITS)),
    _mutant("one_crumb_off_by_one", "one 2-bit code of one matrix is another", _crumb),
    _mutant("nibbles_swapped", "the two codes of each byte in the wrong order", _nibbles_swapped, "0", "2a"),
    _mutant("crumbs_reversed", "2-bit codes packed high bits first", _crumbs_reversed, "0", "2a"),
    _mutant("offset_binary_kept", "the checkpoint's offset not taken off the codes", _offset_binary, "0", "2a"),
    _mutant("layers_swapped", "q_proj of layers 1 and 2 exchanged", _layers_swapped, "0", "2a"),
    _mutant("head_is_not_the_embedding", "lm_head differs from its twin in one row", _head),
    _mutant("one_scale_one_ulp", "one weight scale moved by one unit in the last place", _scale_ulp),
    _mutant("scales_rounded_to_float16", "weight scales rounded to float16", _scales_in_float16),
    _mutant("scales_of_the_next_row", "each row has its neighbour's scale", _scales_rolled, "0", "2a"),
    _mutant("one_table_entry_one_ulp", "what one code stands for, by one unit in the last place", _tables(_entry_ulp)),
    _mutant(
        "one_table_entry_wrong", "one code of one row stands for another's value", _tables(_entry_of_the_neighbour)
    ),
    _mutant(
        "table_entries_exchanged", "codes 0 and 1 stand for each other's value", _tables(_entries_exchanged), "0", "2a"
    ),
    _mutant("table_counted_from_zero", "codes stand for 0 to 3 and not for -2 to 1", _tables(_from_zero), "0", "2a"),
    _mutant("tables_of_the_next_row", "each row has its neighbour's table", _tables(_table_of_the_next_row), "0", "2a"),
    _mutant(
        "norm_weight_plus_one",
        "a norm's weight stored as 1 + w",
        _floats("layers_2_input_layernorm_weight", lambda v: v + 1),
    ),
    _mutant("layer_scalars_swapped", "the residual scalars of layers 3 and 4 exchanged", _scalars_swapped),
    _mutant(
        "model_projection_as_int8",
        "per_layer_model_projection rounded to int8",
        _floats("per_layer_model_projection_weight", _rounded),
        "0",
        "2a",
    ),
    _mutant("block_code", "one code of a matrix in blocks", one_code(Q4), bed="q4_0"),
    _mutant("block_scale_one_step", "one block scale is the next bfloat16 number", _block_scale_ulp, bed="q4_0"),
    _mutant(
        "block_scales_transposed", "block scales stored column by column", _blocks_transposed, "0", "2a", bed="q4_0"
    ),
    _mutant("gain_one_ulp", "the gain of one row, by one unit in the last place", _gain_ulp, bed="float16"),
    _mutant("gains_of_two_rows_swapped", "the gains of two rows exchanged", _gains_swapped, "0", "2a", bed="float16"),
    _mutant(
        "power_of_two_doubled", "one row's power of two, without its gain", _power_doubled, "0", "2a", bed="float16"
    ),
)
