"""Every operation that the evaluator knows, written by coremltools' builder, saved, read back, and held to numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runtime_tests.coreml.program.evaluator import Evaluator
from runtime_tests.coreml.program.ops import KERNELS
from runtime_tests.readers.coreml.mlpackage import open_mlpackage
from tests.support.coreml.mil_tools import Array, builder, save, spec

RNG = np.random.default_rng(5)
GIVEN: dict[str, Array] = {
    "x": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "y": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "p": RNG.uniform(0.1, 3.0, (2, 3, 4)).astype(np.float32),
    "i": RNG.integers(-9, 10, (2, 3, 4)).astype(np.int32),
    "j": RNG.integers(1, 5, (2, 3, 4)).astype(np.int32),
    "b": RNG.integers(0, 2, (2, 3, 4)).astype(bool),
    "c": RNG.integers(0, 2, (2, 3, 4)).astype(bool),
    "k": np.array([2, -1, 0, 1], np.int32),
    "at": np.array([1], np.int32),
    "u": RNG.normal(size=(1, 2, 4)).astype(np.float32),
    "w4": RNG.normal(size=(2, 4, 6, 5)).astype(np.float32),
    "q": RNG.normal(size=(1, 2, 3, 8)).astype(np.float32),
    "kv": RNG.normal(size=(1, 2, 5, 8)).astype(np.float32),
    "m": np.where(RNG.integers(0, 2, (3, 5)), 0.0, -1e4).astype(np.float32),
}
WEIGHT = RNG.normal(size=(6, 4)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
KERNEL = RNG.normal(size=(6, 2, 3, 2)).astype(np.float32)
FACTOR = RNG.normal(size=(1, 8, 3, 5)).astype(np.float32)
CODES = RNG.integers(-8, 8, (4, 8)).astype(np.int8)
BYTES = RNG.integers(-128, 128, (4, 8)).astype(np.int8)
SCALES = RNG.normal(size=(4, 2)).astype(np.float32)
CRUMBS = RNG.integers(0, 4, (4, 8)).astype(np.uint8)
TABLE = RNG.normal(size=(4, 2, 4, 1)).astype(np.float32)

Build = Callable[[Any, Any], Any]  # builder and inputs by name
Oracle = Callable[[Any], Any]


erf = np.vectorize(math.erf)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def attention(q: Array, k: Array, v: Array, mask: Array) -> Array:
    return softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + mask, -1) @ v


def convolved(x: Array) -> Array:
    """Strides 2 and 1, one row of padding before and two after, groups of two, by the definition."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 0)))
    out = np.zeros((2, 6, 4, 4), np.float32)
    for row in range(4):
        for column in range(4):
            patch = padded[:, :, 2 * row : 2 * row + 3, column : column + 2]
            for channel in range(6):
                group = slice(0, 2) if channel < 3 else slice(2, 4)
                out[:, channel, row, column] = (patch[:, group] * KERNEL[channel]).sum((1, 2, 3)) + BIAS[channel]
    return out


def int4(codes: Array) -> Array:
    from coremltools.converters.mil.mil.types import np_int4_dtype

    return codes.astype(np_int4_dtype)


def uint2(codes: Array) -> Array:
    from coremltools.converters.mil.mil.types import np_uint2_dtype

    return codes.astype(np_uint2_dtype)


def unary(name: str, oracle: Callable[[Array], Any], of: str = "x") -> tuple[str, str, Build, Oracle]:
    return (name, name, lambda mb, v: getattr(mb, name)(x=v[of], name=f"case_{name}"), lambda v: oracle(v[of]))


def binary(name: str, oracle: Callable[[Array, Array], Any], of: str = "xy") -> tuple[str, str, Build, Oracle]:
    a, b = of
    build: Build = lambda mb, v: getattr(mb, name)(x=v[a], y=v[b], name=f"case_{name}")  # noqa: E731
    return (name, name, build, lambda v: oracle(v[a], v[b]))


def case(op: str, label: str, oracle: Oracle, build: Build) -> tuple[str, str, Build, Oracle]:
    return (op, label, build, oracle)


CASES = [
    unary("abs", np.abs),
    unary("ceil", np.ceil),
    unary("cos", np.cos),
    unary("erf", erf),
    unary("exp", np.exp),
    unary("exp2", np.exp2),
    unary("floor", np.floor),
    unary("identity", lambda x: x),
    unary("logical_not", np.logical_not, "b"),
    unary("relu", lambda x: np.maximum(x, 0)),
    unary("round", np.rint),
    unary("sigmoid", sigmoid),
    unary("sign", np.sign),
    unary("silu", lambda x: x * sigmoid(x)),
    unary("sin", np.sin),
    unary("softsign", lambda x: x / (1 + np.abs(x))),
    unary("sqrt", np.sqrt, "p"),
    unary("square", np.square),
    unary("tan", np.tan),
    unary("tanh", np.tanh),
    unary("shape", lambda x: np.array(x.shape)),
    case("rsqrt", "", lambda v: 1 / np.sqrt(v["p"] + 0.25), lambda mb, v: mb.rsqrt(x=v["p"], epsilon=0.25)),
    case("rsqrt", "default", lambda v: 1 / np.sqrt(v["p"]), lambda mb, v: mb.rsqrt(x=v["p"])),
    case("inverse", "", lambda v: 1 / (v["p"] + 0.5), lambda mb, v: mb.inverse(x=v["p"], epsilon=0.5)),
    case("log", "", lambda v: np.log(v["p"] + 0.5), lambda mb, v: mb.log(x=v["p"], epsilon=0.5)),
    case("clip", "", lambda v: np.clip(v["x"], -0.5, 0.7), lambda mb, v: mb.clip(x=v["x"], alpha=-0.5, beta=0.7)),
    case(
        "gelu",
        "exact",
        lambda v: v["x"] / 2 * (1 + erf(v["x"] / np.sqrt(2))),
        lambda mb, v: mb.gelu(x=v["x"], mode="EXACT"),
    ),
    case(
        "gelu",
        "tanh",
        lambda v: v["x"] / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (v["x"] + 0.044715 * v["x"] ** 3))),
        lambda mb, v: mb.gelu(x=v["x"], mode="TANH_APPROXIMATION"),
    ),
    case(
        "gelu",
        "sigmoid",
        lambda v: v["x"] * sigmoid(1.702 * v["x"]),
        lambda mb, v: mb.gelu(x=v["x"], mode="SIGMOID_APPROXIMATION"),
    ),
    binary("add", np.add),
    binary("sub", np.subtract),
    binary("mul", np.multiply),
    binary("real_div", np.divide, "xp"),
    binary("floor_div", np.floor_divide, "ij"),
    binary("mod", np.mod, "ij"),
    binary("pow", np.power, "px"),
    binary("maximum", np.maximum),
    binary("minimum", np.minimum),
    binary("equal", np.equal, "ij"),
    binary("not_equal", np.not_equal, "ij"),
    binary("less", np.less),
    binary("less_equal", np.less_equal, "ij"),
    binary("greater", np.greater),
    binary("greater_equal", np.greater_equal, "ij"),
    binary("logical_and", np.logical_and, "bc"),
    binary("logical_or", np.logical_or, "bc"),
    binary("logical_xor", np.logical_xor, "bc"),
    case(
        "select",
        "",
        lambda v: np.where(v["b"], v["x"], v["y"]),
        lambda mb, v: mb.select(cond=v["b"], a=v["x"], b=v["y"]),
    ),
    case("cast", "int", lambda v: np.trunc(v["x"]), lambda mb, v: mb.cast(x=v["x"], dtype="int32")),
    case(
        "mul", "of a cast int", lambda v: v["i"] * 0.5, lambda mb, v: mb.mul(x=mb.cast(x=v["i"], dtype="fp32"), y=0.5)
    ),
    case(
        "mul", "of a cast bool", lambda v: v["b"] * 0.5, lambda mb, v: mb.mul(x=mb.cast(x=v["b"], dtype="fp32"), y=0.5)
    ),
    case("cast", "bool", lambda v: v["i"] != 0, lambda mb, v: mb.cast(x=v["i"], dtype="bool")),
    case(
        "cast",
        "half",
        lambda v: v["x"].astype(np.float16).astype(np.float32),
        lambda mb, v: mb.cast(x=v["x"], dtype="fp16"),
    ),
    case(
        "linear",
        "",
        lambda v: v["x"] @ WEIGHT.T + BIAS,
        lambda mb, v: mb.linear(x=v["x"], weight=WEIGHT, bias=BIAS),
    ),
    case(
        "matmul",
        "",
        lambda v: v["x"] @ v["y"].swapaxes(1, 2),
        lambda mb, v: mb.matmul(x=v["x"], y=v["y"], transpose_y=True),
    ),
    case(
        "matmul",
        "first",
        lambda v: v["x"].swapaxes(1, 2) @ v["y"],
        lambda mb, v: mb.matmul(x=v["x"], y=v["y"], transpose_x=True),
    ),
    case(
        "einsum",
        "",
        lambda v: np.einsum("abcd,adce->abce", v["q"], FACTOR),
        lambda mb, v: mb.einsum(values=(v["q"], FACTOR), equation="abcd,adce->abce"),
    ),
    case(
        "conv",
        "",
        lambda v: convolved(v["w4"]),
        lambda mb, v: mb.conv(
            x=v["w4"], weight=KERNEL, strides=[2, 1], pad_type="custom", pad=[1, 2, 0, 0], groups=2, bias=BIAS
        ),
    ),
    case(
        "scaled_dot_product_attention",
        "",
        lambda v: attention(v["q"], v["kv"], v["kv"], v["m"]),
        lambda mb, v: mb.scaled_dot_product_attention(query=v["q"], key=v["kv"], value=v["kv"], attn_mask=v["m"]),
    ),
    case(
        "reduce_sum",
        "",
        lambda v: v["x"].sum((0, 2), keepdims=True),
        lambda mb, v: mb.reduce_sum(x=v["x"], axes=[0, -1], keep_dims=True),
    ),
    case("reduce_sum", "int", lambda v: v["i"].sum(1), lambda mb, v: mb.reduce_sum(x=v["i"], axes=[1])),
    case("reduce_mean", "", lambda v: v["x"].mean(-1), lambda mb, v: mb.reduce_mean(x=v["x"], axes=[-1])),
    case("reduce_mean", "all", lambda v: v["x"].mean(), lambda mb, v: mb.reduce_mean(x=v["x"])),
    case("reduce_max", "", lambda v: v["x"].max((0, 1)), lambda mb, v: mb.reduce_max(x=v["x"], axes=[0, 1])),
    case("reduce_min", "", lambda v: v["x"].min(1), lambda mb, v: mb.reduce_min(x=v["x"], axes=[1])),
    case(
        "reduce_sum_square",
        "",
        lambda v: (v["x"] ** 2).sum(-1),
        lambda mb, v: mb.reduce_sum_square(x=v["x"], axes=[-1]),
    ),
    case("reduce_l1_norm", "", lambda v: np.abs(v["x"]).sum(1), lambda mb, v: mb.reduce_l1_norm(x=v["x"], axes=[1])),
    case(
        "reduce_l2_norm",
        "",
        lambda v: np.sqrt((v["x"] ** 2).sum(1)),
        lambda mb, v: mb.reduce_l2_norm(x=v["x"], axes=[1]),
    ),
    case(
        "reduce_log_sum_exp",
        "",
        lambda v: np.log(np.exp(v["x"]).sum(2)),
        lambda mb, v: mb.reduce_log_sum_exp(x=v["x"], axes=[2]),
    ),
    case("reduce_argmax", "", lambda v: v["x"].argmax(1), lambda mb, v: mb.reduce_argmax(x=v["x"], axis=1)),
    case("softmax", "", lambda v: softmax(v["x"], 1), lambda mb, v: mb.softmax(x=v["x"], axis=1)),
    case(
        "layer_norm",
        "",
        lambda v: (v["x"] - v["x"].mean(-1, keepdims=True)) / np.sqrt(v["x"].var(-1, keepdims=True) + 1e-3) * 2 + 1,
        lambda mb, v: mb.layer_norm(
            x=v["x"], axes=[-1], gamma=np.full(4, 2, np.float32), beta=np.ones(4, np.float32), epsilon=1e-3
        ),
    ),
    case(
        "l2_norm",
        "",
        lambda v: v["w4"] / np.sqrt((v["w4"] ** 2).sum((1, 2, 3), keepdims=True) + 0.1),
        lambda mb, v: mb.l2_norm(x=v["w4"], epsilon=0.1),
    ),
    case("cumsum", "", lambda v: v["x"].cumsum(1), lambda mb, v: mb.cumsum(x=v["x"], axis=1)),
    case(
        "cumsum",
        "backwards",
        lambda v: np.flip(np.flip(v["i"], 2).cumsum(2), 2) - v["i"],
        lambda mb, v: mb.cumsum(x=v["i"], axis=2, exclusive=True, reverse=True),
    ),
    case("reshape", "", lambda v: v["x"].reshape(2, 2, 6), lambda mb, v: mb.reshape(x=v["x"], shape=[0, -1, 6])),
    case("transpose", "", lambda v: v["x"].transpose(2, 0, 1), lambda mb, v: mb.transpose(x=v["x"], perm=[-1, 0, 1])),
    case(
        "expand_dims",
        "",
        lambda v: v["x"].reshape(1, 2, 3, 1, 4),
        lambda mb, v: mb.expand_dims(x=v["x"], axes=[0, -2]),
    ),
    case("squeeze", "", lambda v: v["u"][0], lambda mb, v: mb.squeeze(x=v["u"], axes=[0])),
    case("squeeze", "all", lambda v: v["u"][0], lambda mb, v: mb.squeeze(x=v["u"])),
    case(
        "concat",
        "",
        lambda v: np.concatenate([v["x"], v["y"], v["p"]], 1),
        lambda mb, v: mb.concat(values=(v["x"], v["y"], v["p"]), axis=1),
    ),
    case("stack", "", lambda v: np.stack([v["x"], v["y"]], 2), lambda mb, v: mb.stack(values=(v["x"], v["y"]), axis=2)),
    case("tile", "", lambda v: np.tile(v["x"], (2, 1, 3)), lambda mb, v: mb.tile(x=v["x"], reps=[2, 1, 3])),
    case("reverse", "", lambda v: np.flip(v["x"], (0, 2)), lambda mb, v: mb.reverse(x=v["x"], axes=[0, -1])),
    case(
        "fill",
        "",
        lambda v: np.full((2, 2), 1.5, np.float32),
        lambda mb, v: mb.fill(shape=mb.tile(x=mb.add(x=v["at"], y=1), reps=[2]), value=1.5),
    ),
    case("fill_like", "", lambda v: np.full((2, 3, 4), 7), lambda mb, v: mb.fill_like(ref_tensor=v["x"], value=7)),
    case(
        "range_1d",
        "",
        lambda v: np.arange(1, 10, 3),
        lambda mb, v: mb.range_1d(start=mb.squeeze(x=v["at"], axes=[0]), end=10, step=3),
    ),
    case(
        "band_part",
        "",
        lambda v: np.triu(np.tril(v["x"], 1), -1),
        lambda mb, v: mb.band_part(x=v["x"], lower=1, upper=1),
    ),
    case("band_part", "lower", lambda v: np.tril(v["x"]), lambda mb, v: mb.band_part(x=v["x"], lower=-1, upper=0)),
    case(
        "slice_by_index",
        "",
        lambda v: v["w4"][0, 1:, ::-2, 1:4],
        lambda mb, v: mb.slice_by_index(
            x=v["w4"],
            begin=[0, 1, 0, 1],
            end=[0, 0, 0, -1],
            stride=[1, 1, -2, 1],
            begin_mask=[False, False, True, False],
            end_mask=[False, True, True, False],
            squeeze_mask=[True, False, False, False],
        ),
    ),
    case(
        "slice_by_size",
        "",
        lambda v: v["x"][:, 1:3, 1:],
        lambda mb, v: mb.slice_by_size(x=v["x"], begin=[0, 1, 1], size=[2, 2, -1]),
    ),
    case(
        "slice_update",
        "",
        lambda v: np.concatenate([v["x"][:1], np.stack([np.concatenate([v["x"][1, :1], v["u"][0]])])]),
        lambda mb, v: mb.slice_update(
            x=v["x"],
            update=v["u"],
            begin=mb.concat(values=(v["at"], v["at"], np.array([0], np.int32)), axis=0),
            end=[2, 3, 4],
        ),
    ),
    case("gather", "", lambda v: v["x"][:, v["k"]], lambda mb, v: mb.gather(x=v["x"], indices=v["k"], axis=1)),
    case(
        "gather_along_axis",
        "",
        lambda v: np.take_along_axis(v["x"], v["j"] % 3, 1),
        lambda mb, v: mb.gather_along_axis(x=v["x"], indices=mb.mod(x=v["j"], y=3), axis=1),
    ),
    case(
        "quantize",
        "",
        lambda v: np.clip(np.rint(v["x"] / np.float32(0.01)), -128, 127),
        lambda mb, v: mb.quantize(input=v["x"], scale=np.float32(0.01), output_dtype="int8"),
    ),
    case(
        "dequantize",
        "",
        lambda v: (np.clip(np.rint(v["x"] / 0.5) + 3, 0, 255) - 4) * np.array([0.5, 1.0, 2.0]).reshape(1, 3, 1),
        lambda mb, v: mb.dequantize(
            input=mb.quantize(input=v["x"], scale=np.float32(0.5), zero_point=np.uint8(3), output_dtype="uint8"),
            scale=np.array([0.5, 1.0, 2.0], np.float32),
            zero_point=np.full(3, 4, np.uint8),
            axis=1,
        ),
    ),
    case(
        "constexpr_blockwise_shift_scale",
        "int4",
        lambda v: CODES * np.repeat(SCALES, 4, 1),
        lambda mb, v: mb.identity(x=mb.constexpr_blockwise_shift_scale(data=int4(CODES), scale=SCALES)),
    ),
    case(
        "constexpr_blockwise_shift_scale",
        "int8",
        lambda v: (BYTES - 3.0) * SCALES[:, :1],
        lambda mb, v: mb.identity(
            x=mb.constexpr_blockwise_shift_scale(data=BYTES, scale=SCALES[:, :1], offset=np.full((4, 1), 3, np.int8))
        ),
    ),
    case(
        "constexpr_lut_to_dense",
        "",
        lambda v: np.take_along_axis(np.repeat(TABLE[..., 0], 4, 1), CRUMBS[..., None].astype(int), 2)[..., 0],
        lambda mb, v: mb.identity(x=mb.constexpr_lut_to_dense(indices=uint2(CRUMBS), lut=TABLE)),
    ),
]
IN_PARTS = {
    "split": (
        lambda mb, v: mb.split(x=v["w4"], split_sizes=[1, 3, 2], axis=2, name="case_split"),
        lambda v: np.split(v["w4"], [1, 4], 2),
    )
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    """What the evaluator makes of all cases, by the names of their values; one program holds them all."""
    mb, names = builder(), []

    # The builder looks for its parameters by name.
    def build(x, y, p, i, j, b, c, k, at, u, w4, q, kv, m):  # type: ignore[no-untyped-def]
        v = dict(zip(GIVEN, (x, y, p, i, j, b, c, k, at, u, w4, q, kv, m), strict=True))
        for op, label, make, _ in CASES:
            made = make(mb, v)
            names.append(made.name)
            assert op in made.name or made.op.op_type in (op, "identity"), f"{op} {label} made {made.name}"
        names.extend(part.name for part in IN_PARTS["split"][0](mb, v))
        return mb.identity(x=v["x"])

    path = save(tmp_path_factory.mktemp("ops") / "ops.mlpackage", build, [spec(array) for array in GIVEN.values()])
    values = Evaluator(open_mlpackage(path)).run("main", GIVEN, wanted=tuple(names))
    return {name: values[name].numpy() for name in names} | {str(i): values[n].numpy() for i, n in enumerate(names)}


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{op} {label}".strip() for op, label, *_ in CASES])
def test_each_operation_computes_what_its_definition_says(found: dict[str, Array], index: int) -> None:
    _, _, _, oracle = CASES[index]
    expected = np.asarray(oracle(GIVEN))
    assert found[str(index)].shape == expected.shape
    np.testing.assert_allclose(found[str(index)], expected, rtol=2e-6, atol=2e-6)


def test_split_gives_its_parts_in_order(found: dict[str, Array]) -> None:
    parts = [found[str(len(CASES) + i)] for i in range(3)]
    for part, expected in zip(parts, IN_PARTS["split"][1](GIVEN), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_every_operation_of_the_evaluator_has_a_case_here() -> None:
    assert set(KERNELS) == {op for op, *_ in CASES} | set(IN_PARTS)
