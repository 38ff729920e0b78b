"""Faults in weights, scales and constants: the finished file's numbers are not the checkpoint's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime_tests.litert.case import DECODER, EMBEDDER, PER_LAYER
from runtime_tests.litert.weights.lattice import open_lattice
from runtime_tests.readers.bits import to_bfloat16
from tests.mutants.mutant import Edit, Mutant
from tests.mutants.patient import Patient

KIND = "codes_and_scales"
FOUR_BITS, TWO_BITS = "layers.1.mlp.up_proj", "layers.7.mlp.down_proj"
TABLE, LAYERED = "embed_tokens.weight", "embed_tokens_per_layer.weight"


def one_code(key: str, at: int = 17) -> Callable[[Patient], None]:
    """The lowest bit of one code of a linear."""

    def apply(patient: Patient) -> None:
        patient.array(f"{key}.weight")[at] ^= 1

    return apply


def _nibbles_swapped(patient: Patient) -> None:
    codes = patient.array(f"{FOUR_BITS}.weight")
    codes[:] = (codes >> 4) | (codes << 4)


def _crumbs_reversed(patient: Patient) -> None:
    codes = patient.array(f"{TWO_BITS}.weight")
    parts = [(codes >> shift) & 3 for shift in (0, 2, 4, 6)]
    codes[:] = parts[0] << 6 | parts[1] << 4 | parts[2] << 2 | parts[3]


def _offset_binary(patient: Patient) -> None:
    patient.array(f"{FOUR_BITS}.weight")[:] ^= 0x88


def _blocks_transposed(patient: Patient) -> None:
    tensor = patient.tensors(f"{FOUR_BITS}.weight")[0]
    packed = patient.array(f"{FOUR_BITS}.weight").reshape(tensor.shape[0], -1)
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape(tensor.shape)
    rows, columns = (n // 32 for n in tensor.shape)
    blocks = nibbles[: rows * 32, : columns * 32].reshape(rows, 32, columns, 32).transpose(0, 3, 2, 1)
    nibbles[: rows * 32, : columns * 32] = blocks.reshape(rows * 32, columns * 32)
    packed[:] = nibbles[:, ::2] | nibbles[:, 1::2] << 4


def _layers_swapped(patient: Patient) -> None:
    a, b = (patient.array(f"layers.{i}.self_attn.q_proj.weight") for i in (1, 2))
    a[:], b[:] = b.copy(), a.copy()


def _halves_swapped(patient: Patient) -> None:
    packed = patient.array(f"{TWO_BITS}.weight").reshape(patient.tensors(f"{TWO_BITS}.weight")[0].shape[0], -1)
    packed[:] = np.roll(packed, packed.shape[1] // 2, axis=1)


def _rounded_again(patient: Patient) -> None:
    """What an exporter does that takes the values for floats: a new scale from the largest value, new codes."""
    model, tensor = patient.model(), patient.tensors(f"{FOUR_BITS}.weight")[0]
    (scales, *others), codes = patient.scales(f"{FOUR_BITS}.weight"), model.rows(tensor).astype(np.float32)
    fresh = (np.abs(codes).max(axis=1) * scales / np.float32(7)).astype(np.float32)
    again = np.clip(np.rint(codes * (scales / fresh)[:, None]), -8, 7).astype(np.int8).view(np.uint8) & 15
    packed = patient.array(f"{FOUR_BITS}.weight")
    packed[:] = (again[:, ::2] | again[:, 1::2] << 4).reshape(-1)
    for held in (scales, *others):
        held[:] = fresh


def _twin(patient: Patient) -> None:
    patient.array("lm_head.weight")[-8:] = 0


def _row(patient: Patient) -> None:
    packed = patient.array(TABLE, EMBEDDER).reshape(patient.tensors(TABLE, EMBEDDER)[0].shape[0], -1)
    packed[[300, 301]] = packed[[301, 300]]


def scaled(name: str, change: Callable[[np.ndarray], np.ndarray], section: str = DECODER) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        for scales in patient.scales(name, section):
            scales[:] = change(scales)

    return apply


def ulp(scales: np.ndarray) -> np.ndarray:
    out = scales.copy()
    out.view(np.uint32)[5] += 1
    return out


def _to_bfloat16(scales: np.ndarray) -> np.ndarray:
    return (scales.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _zero_point(patient: Patient) -> None:
    for tensor in patient.tensors(f"{FOUR_BITS}.weight"):
        assert tensor.quantization is not None
        tensor.quantization.zero_points[3] = 1


def activation(side: str, change: Callable[[np.ndarray], None], key: str = FOUR_BITS) -> Callable[[Patient], None]:
    """Changes the scale of what goes into a linear or comes out of it, in every signature."""

    def apply(patient: Patient) -> None:
        for graph in patient.model().subgraphs:
            for op in graph.operators:
                if op.code == "FULLY_CONNECTED" and graph.tensors[op.inputs[1]].name == f"{key}.weight":
                    tensor = graph.tensors[op.inputs[0] if side == "input" else op.outputs[0]]
                    assert tensor.quantization is not None
                    change(tensor.quantization.scales)

    return apply


def following(scales: np.ndarray) -> None:
    scales.view(np.uint32)[0] += 1


def _double(scales: np.ndarray) -> None:
    scales[0] *= 2


def _floats(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        values = patient.array(name).view(np.float32)
        values[:] = change(values)

    return apply


def _scalars_swapped(patient: Patient) -> None:
    a, b = (patient.array(f"layers.{i}.layer_scalar") for i in (3, 4))
    a[:], b[:] = b.copy(), a.copy()


def _int8(values: np.ndarray) -> np.ndarray:
    step = np.abs(values).max() / np.float32(127)
    return (np.rint(values / step) * step).astype(np.float32)


def _cache_scale(letters: str, signatures: tuple[str, ...] | None = None) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        model = patient.model()
        for name, entry in model.signatures.items():
            if signatures is None or name in signatures:
                graph = model.subgraph(name)
                for letter in letters:
                    for side in (entry.inputs, entry.outputs):
                        quantization = graph.tensors[side[f"kv_cache_{letter}_2"]].quantization
                        assert quantization is not None
                        quantization.scales[0] *= 16

    return apply


def _cache_scales_swapped(patient: Patient) -> None:
    model = patient.model()
    for name, entry in model.signatures.items():
        graph = model.subgraph(name)
        for side in (entry.inputs, entry.outputs):
            pair = [graph.tensors[side[f"kv_cache_{letter}_0"]].quantization for letter in "kv"]
            a, b = (item.scales for item in pair if item is not None)
            a[0], b[0] = b[0], a[0]


Q4 = "layers.3.mlp.down_proj"


def _halves(name: str) -> Callable[[Patient], np.ndarray]:
    return lambda patient: patient.array(name).view(np.uint16)


def block_scale(key: str, at: int = 3) -> Callable[[Patient], None]:
    """One block's scale, by a unit in the last place."""

    def apply(patient: Patient) -> None:
        patient.array(f"{key}.weight_scale").view(np.uint16)[at] += 1

    return apply


def _hidden_scale(patient: Patient) -> None:
    """A block whose weights round for storage as before, though its scale is another."""
    graph = patient.model().subgraph("decode")
    lattice = open_lattice(patient.model(), graph, graph.by_name[f"{Q4}.weight"])
    assert not isinstance(lattice, str)
    before, scales = to_bfloat16(lattice.rows(0, 8)), _halves(f"{Q4}.weight_scale")(patient)
    for at in range(8 * lattice.scales.shape[1]):
        scales[at] += 1
        if np.array_equal(to_bfloat16(lattice.rows(0, 8)), before) and not _halves(f"{Q4}.weight_offset")(patient)[at]:
            return
        scales[at] -= 1
    raise AssertionError("every scale of eight rows shows in the rounding")


def _q4_sign(patient: Patient) -> None:
    _halves(f"{Q4}.weight_offset")(patient)[:] = 0


def _q4_offset_negative(patient: Patient) -> None:
    _halves(f"{Q4}.weight_offset")(patient)[:] ^= 0x8000


def _q4_complement(patient: Patient) -> None:
    """The codes of blocks with a negative scale as they were, though their scale has become positive."""
    offsets = _halves(f"{Q4}.weight_offset")(patient)
    packed = patient.array(f"{Q4}.weight").reshape(offsets.size, -1)
    packed[offsets != 0] ^= 0xFF


def _q4_transposed(patient: Patient) -> None:
    scales, shape = _halves(f"{Q4}.weight_scale")(patient), patient.tensors(f"{Q4}.weight_scale")[0].shape
    scales[:] = scales.reshape(shape).T.reshape(-1)


def _q4_bit(patient: Patient) -> None:
    patient.array(TABLE, EMBEDDER)[10] ^= 1


def _mobile(name: str, what: str, change: Callable[[Patient], None], *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("0",), Edit(change))


def _q4(name: str, what: str, change: Callable[[Patient], None]) -> Mutant:
    return Mutant(name, KIND, "q4_0", what, ("0",), Edit(change))


def _int8_cache(name: str, what: str, change: Callable[[Patient], None]) -> Mutant:
    return Mutant(name, KIND, "int8 cache", what, ("0",), Edit(change))


W = f"{FOUR_BITS}.weight"
MUTANTS = (
    _mobile("one_code_off_by_one", "one 4-bit code of one matrix is one too high or too low", one_code(FOUR_BITS)),
    _mobile("nibbles_swapped", "the two codes of each byte in the wrong order", _nibbles_swapped, "0", "2a"),
    _mobile("crumbs_reversed", "2-bit codes packed high bits first", _crumbs_reversed, "0", "2a"),
    _mobile("offset_binary_kept", "the checkpoint's offset not taken off the codes", _offset_binary, "0", "2a"),
    _mobile("blocks_transposed", "blocks of 32 x 32 codes transposed", _blocks_transposed, "0", "2a"),
    _mobile("layers_swapped", "q_proj of layers 1 and 2 exchanged", _layers_swapped, "0", "2a"),
    _mobile("double_wide_halves_swapped", "left and right half of a double-wide down_proj", _halves_swapped, "0", "2a"),
    _mobile("rounded_again", "a matrix re-quantized from its values by their range", _rounded_again),
    _mobile("head_is_not_the_embedding", "lm_head differs from its twin in one row", _twin),
    _mobile("embedding_rows_swapped", "the rows of two tokens exchanged", _row),
    _mobile("one_scale_one_ulp", "one weight scale moved by one unit in the last place", scaled(W, ulp)),
    _mobile("scales_rounded_to_bfloat16", "weight scales cut to bfloat16", scaled(W, _to_bfloat16)),
    _mobile(
        "scales_rounded_to_float16",
        "weight scales rounded to float16",
        scaled(W, lambda s: s.astype(np.float16).astype(np.float32)),
    ),
    _mobile(
        "scales_shifted_by_a_group",
        "each scale of the per-layer embedding one layer on",
        scaled(LAYERED, lambda s: np.roll(s, 1), PER_LAYER),
        "0",
        "2a",
    ),
    _mobile("zero_point_on_a_weight", "one channel has a zero point", _zero_point),
    _mobile(
        "input_scale_one_ulp", "an activation scale moved by one unit in the last place", activation("input", following)
    ),
    _mobile("output_scale_doubled", "an output activation scale doubled", activation("output", _double), "0", "2a"),
    _mobile(
        "norm_weight_plus_one",
        "a norm's weight stored as 1 + w",
        _floats("layers.2.input_layernorm.weight", lambda v: v + 1),
    ),
    _mobile("layer_scalars_swapped", "the residual scalars of layers 3 and 4 exchanged", _scalars_swapped),
    _mobile(
        "model_projection_as_int8",
        "per_layer_model_projection rounded to int8",
        _floats("per_layer_model_projection.weight", _int8),
        "0",
        "2a",
    ),
    _int8_cache("cache_scale_times_16", "the key scale of one layer is 16 times too large", _cache_scale("k")),
    _int8_cache(
        "cache_scale_of_prefill", "prefill and decode disagree about a value scale", _cache_scale("v", ("prefill_16",))
    ),
    _int8_cache("cache_scales_swapped", "keys rounded by the scale of values and the reverse", _cache_scales_swapped),
    _q4("block_scale_one_ulp", "one block scale moved by one unit in the last place", block_scale(Q4)),
    _q4("block_scale_hidden_by_rounding", "a block scale off by less than its rounding shows", _hidden_scale),
    _q4("sign_of_scales_lost", "no offsets: blocks with a negative scale lose their sign", _q4_sign),
    _q4("offsets_negative", "the offsets of negative blocks subtracted", _q4_offset_negative),
    _q4("complement_forgotten", "codes of negative blocks not complemented", _q4_complement),
    _q4("block_scales_transposed", "block scales stored column by column", _q4_transposed),
    _q4("bit_of_a_bfloat16_row", "one bit of the bfloat16 embedding", _q4_bit),
)
