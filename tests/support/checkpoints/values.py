"""Seeded random weights that lie exactly on a format's grid and make a network that neither dies nor explodes.

Every tensor has a random stream of its own, seeded by its key, so its values do not depend on the order of writing.
Only additions, multiplications, divisions, comparisons and the generator are used: no function whose last bit depends
on the machine's vector unit.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convert.demo.writing import bfloat16
from convert.demo.writing.stored import Matrix
from convert.lattice import code_range
from tests.support.checkpoints.shapes import Shape, Temper

BLOCK = 32
ZERO_BLOCKS, SPARSE_BLOCKS = 0.01, 0.02
CALM = Temper()


def stream(seed: int, key: str) -> np.random.Generator:
    """The random stream of one tensor."""
    return np.random.default_rng([seed, zlib.crc32(key.encode())])


def row_gains(matrix: Matrix, seed: int, quiet_rows: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Standard deviation of each row and group, ``float32 [rows, groups]``.

    A linear keeps the size of its input; a table, multiplied by the root of its width later, gives rows of size one.
    """
    # The square root is correctly rounded everywhere, unlike exp and log.
    fan = matrix.columns // matrix.groups
    spread = stream(seed, matrix.key + ".gain").random((matrix.rows, matrix.groups), np.float32)
    gains = (np.float32(0.8) + np.float32(0.4) * spread) / np.sqrt(np.float32(fan))
    if quiet_rows is not None:
        gains[quiet_rows] *= np.float32(0.25)
    return gains


def mobile(
    matrix: Matrix, seed: int, quiet_rows: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes ``int8 [rows, columns]`` and scales ``float32 [rows, groups]`` of a symmetric per-channel grid.

    Two bits take their scale from the spread, wider codes from the largest value.

    Args:
        quiet_rows: rows, by token, that are drawn smaller so that the head seldom chooses them.
    """
    gains = row_gains(matrix, seed, quiet_rows)
    shape = (matrix.rows, matrix.groups, matrix.columns // matrix.groups)
    values = stream(seed, matrix.key).standard_normal(shape, np.float32) * gains[:, :, None]
    low, high = code_range(matrix.bits)
    # TFLite restricts int8 weights to -127..127; narrower grids use their lowest code.
    reach = np.float32(high if matrix.bits == 8 else high + 0.5)
    scales = gains if matrix.bits == 2 else np.abs(values).max(axis=2) / reach
    codes = np.clip(np.rint(values / scales[:, :, None]), low, high).astype(np.int8)
    return codes.reshape(matrix.rows, matrix.columns), scales.astype(np.float32)


def q4_0(matrix: Matrix, seed: int) -> NDArray[np.uint16]:
    """bfloat16 bits ``[rows, columns]`` of ``bf16(code * d)``, blocks of 32, d the signed extremum over -8 as bfloat16.

    Some blocks are zero throughout and some hold only two or three values, as trained matrices do.
    """
    generator = stream(seed, matrix.key)
    gains = row_gains(matrix, seed, None)
    shape = (matrix.rows, matrix.columns // BLOCK, BLOCK)
    values = generator.standard_normal(shape, np.float32) * gains[:, :, None]
    kind = generator.random(shape[:2], np.float32)[:, :, None]
    sign = np.sign(values)
    values = np.where(
        kind < ZERO_BLOCKS + SPARSE_BLOCKS, np.where(sign > 0, np.abs(values).max(2, keepdims=True), 0), values
    )
    values = np.where(kind < ZERO_BLOCKS, 0, values).astype(np.float32)
    extremum = np.take_along_axis(values, np.abs(values).argmax(2)[:, :, None], 2)
    # Zero divided by -8 is a negative zero: blocks of zeros should be plain.
    step = np.where(extremum == 0, np.float32(0), bfloat16.nearest(extremum / np.float32(-8)))
    codes = np.clip(np.rint(values / np.where(step == 0, np.float32(1), step)), -8, 7).astype(np.int8)
    return bfloat16.to_bits((codes.astype(np.float32) * step).reshape(matrix.rows, matrix.columns))


def dense(
    name: str, dims: tuple[int, ...], seed: int, groups: int, quiet_rows: NDArray[np.bool_] | None
) -> NDArray[np.uint16]:
    """bfloat16 bits of a matrix that is on no grid: embeddings of q4_0, per_layer_model_projection."""
    gains = row_gains(Matrix(name, dims[0], dims[1], 8, groups), seed, quiet_rows)
    values = stream(seed, name).standard_normal((dims[0], groups, dims[1] // groups), np.float32) * gains[:, :, None]
    return bfloat16.to_bits(values.reshape(dims))


def norm(name: str, dims: tuple[int, ...], seed: int, temper: Temper = CALM) -> NDArray[np.uint16]:
    """bfloat16 bits of a norm's weight, near one, save three that set the scale of something.

    The last norm sets the size of the logits. Its signs are random: the head shares the embedding's rows, and without
    them every token would predict itself.
    """
    generator = stream(seed, name)
    values = np.float32(0.85) + np.float32(0.3) * generator.random(dims, np.float32)
    if name == "norm.weight":
        values *= np.float32(temper.logit_gain) * np.where(generator.random(dims) < 0.5, np.float32(-1), np.float32(1))
    elif name.endswith("k_norm.weight"):
        values *= np.float32(temper.attention_spread) / np.sqrt(np.float32(dims[0]))
    return bfloat16.to_bits(values.astype(np.float32))


def layer_scalar(name: str, seed: int, temper: Temper = CALM) -> NDArray[np.uint16]:
    """bfloat16 bits ``[1]`` of a layer_scalar."""
    low, high = temper.scalars
    return bfloat16.to_bits(np.float32(low) + np.float32(high - low) * stream(seed, name).random(1, np.float32))


def tower(name: str, dims: tuple[int, ...], dtype: str, seed: int) -> bytes:
    """A tower's floats, BF16 or F32: weights of norms near one, anything else small. Nothing here computes with it."""
    values = stream(seed, name).standard_normal(dims, np.float32) * np.float32(0.05)
    if "norm" in name:
        values += np.float32(1)
    return values.tobytes() if dtype == "F32" else bfloat16.to_bits(values).tobytes()


def bound(name: str, seed: int) -> NDArray[np.uint16]:
    """bfloat16 bits of a number at which a tower's linear clips its input or output: ``name`` ends in min or max."""
    size = np.float32(4) + np.float32(8) * stream(seed, name).random(1, np.float32)
    return bfloat16.to_bits(-size if name.endswith("min") else size)


def idle_step(name: str, seed: int) -> np.float32:
    """Activation scale of a linear that the text decoder does not run: of a tower, or of a layer without own keys."""
    return np.float32(0.02) + np.float32(0.08) * stream(seed, name).random(1, np.float32)[0]


def quiet(shape: Shape, spoken: frozenset[int]) -> NDArray[np.bool_]:
    """Which rows of the embedding are drawn small: all tokens but those that text is made of."""
    rows = np.ones(shape.vocab, np.bool_)
    rows[sorted(spoken)] = False
    return rows


def twin(matrix: Matrix) -> Matrix:
    """The matrix whose numbers a matrix repeats: the embedding for the head, itself for the others."""
    return replace(matrix, key="embed_tokens") if matrix.key == "lm_head" else matrix
