"""A synthetic checkpoint with a real model's dimensions, names and bits; ``main`` is its command line.

A mobile file has the names, dtypes, shapes and order of Google's, and its size to the byte; its header is Google's
header. A q4_0 file is laid out as transformers would save it. Codes are random bytes, streamed in pieces. Nothing that
large can be calibrated here, so scales follow from what the normalizations guarantee: their outputs have size one, and
a linear whose rows have length one keeps it.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.demo.writing import bfloat16, safetensors, tokenizer
from convert.demo.writing.layout import FORMATS
from convert.demo.writing.stored import Matrix, Tensor
from convert.errors import PlanError
from convert.lattice import flip_offset, pack, unpack
from tests.support.checkpoints import streamed, values
from tests.support.checkpoints.calibrate import SHARED_INPUT
from tests.support.checkpoints.corpus import words
from tests.support.checkpoints.layout import tensors
from tests.support.checkpoints.published import companions as published
from tests.support.checkpoints.shapes import FULL_SIZE, Shape
from tests.support.checkpoints.write import write_companions

PIECE_BYTES = 1 << 24
TOKENIZER_SIZE = 1280  # of a shape without towers, which is for tests
# Tokens that no text is made of, among them those that would end it: the head must not choose them. Few of the others
# are common: where a large vocabulary competes alike, every choice is a near-tie, and a trained model's are not.
QUIET_GAIN, RARE_GAIN, COMMON = np.float32(1 / 16), np.float32(0.35), 256
# Largest magnitudes that the int8 grids hold, in units of the usual one. Beyond lie some in a thousand, as where scales
# are trained: wider grids would round so coarsely that the network could not repeat its own choices.
_INPUT_PEAK = {"o_proj": 4.0, "down_proj": 6.0, "per_layer_input_gate": 8.0, "per_layer_projection": 8.0}
_OUTPUT_PEAK = {"o_proj": 3.0, "per_layer_input_gate": 6.0, "per_layer_projection": 5.0}
_PEAK = 4.5
# What a layer adds is small beside what it passes on, or 40 layers would multiply a rounding error to the size of the
# logits: see the noise floor in tests/demo/test_fullsize.py.
_BRANCHES = ("post_attention_layernorm.weight", "post_feedforward_layernorm.weight", "post_per_layer_input_norm.weight")
_BRANCH_GAIN = np.float32(0.25)
_SCALARS = np.float32(0.93), np.float32(0.07)


def write(folder: Path, size: str, format: str = "mobile", seed: int = 0) -> None:
    """Writes the checkpoint; E2B and E4B take 2.46 and 3.53 GB in mobile, 10.21 and 15.88 GB in q4_0.

    Same arguments, same bytes.

    Args:
        size: ``e2b`` or ``e4b``.
        format: ``mobile`` or ``q4_0``.

    Raises:
        PlanError: unknown size or format, or too little room on the disk.
    """
    asked = f"full-size {size} {format}"
    if size not in FULL_SIZE or format not in FORMATS:
        hint = f"Choose a size of {', '.join(FULL_SIZE)} and a format of {', '.join(FORMATS)}"
        raise PlanError(asked, "there is no such checkpoint", hint)
    shape = FULL_SIZE[size]
    layout = tensors(shape, format)
    folder.mkdir(parents=True, exist_ok=True)
    need, free = sum(map(safetensors.size, layout)) * 1.02, shutil.disk_usage(folder).free
    if free < need:
        raise PlanError(asked, f"it takes {need / 1e9:.2f} GB and {free / 1e9:.2f} GB are free", "Make room")
    if shape.towers:
        vocabulary = published.vocabulary(shape.vocab)
    else:
        vocabulary = tokenizer.learn(min(TOKENIZER_SIZE, shape.vocab), words())
    write_companions(folder, shape, format, vocabulary)
    stops = {content[0] for content in tokenizer.NAMED.values()}
    loudness = _loudness(shape, vocabulary.spoken - stops)
    fill = _fill if format == "mobile" else _fill_q4_0
    # The order of the published q4_0 files is not known.
    published_order = shape.towers is not None and format == "mobile"
    safetensors.write(folder, layout, lambda tensor: fill(tensor, shape, seed, loudness), published=published_order)


def _loudness(shape: Shape, spoken: frozenset[int]) -> NDArray[np.float32]:
    """Length of each row of the embedding and the head, ``[vocab]``."""
    rows = np.full(shape.vocab, QUIET_GAIN)
    rows[sorted(spoken)] = RARE_GAIN
    rows[sorted(spoken)[:: -(-len(spoken) // COMMON)]] = 1
    return rows


def _fill_q4_0(tensor: Tensor, shape: Shape, seed: int, loudness: NDArray[np.float32]) -> Iterator[bytes]:
    if tensor.part == "weight":
        assert tensor.matrix is not None
        yield from streamed.lattice(tensor.matrix, seed)
    elif tensor.part == "dense":
        groups = shape.layers if tensor.key.startswith("embed_tokens_per_layer") else 1
        rows, columns = tensor.shape
        gains = values.row_gains(Matrix(tensor.key, rows, columns, 8, groups), seed, None)
        if tensor.key == "embed_tokens.weight":
            gains *= loudness[:, None]
        yield from streamed.dense(tensor.key, (rows, columns), seed, groups, gains)
    elif tensor.part == "bound":
        yield values.bound(tensor.key, seed).tobytes()
    else:
        yield from _floats(tensor, seed)


def _fill(tensor: Tensor, shape: Shape, seed: int, loudness: NDArray[np.float32]) -> Iterator[bytes]:
    if tensor.part == "codes":
        assert tensor.matrix is not None
        yield from _codes(values.twin(tensor.matrix), safetensors.size(tensor), seed)
    elif tensor.part == "scales":
        assert tensor.matrix is not None
        yield _scales(values.twin(tensor.matrix), seed, loudness).tobytes()
    elif tensor.part == "dense":
        yield from _dense(tensor, seed)
    elif tensor.part in ("norm", "scalar", "tower"):
        yield from _floats(tensor, seed)
    else:
        yield np.float32(_activation_step(tensor, shape, seed)).tobytes()


def _floats(tensor: Tensor, seed: int) -> Iterator[bytes]:
    if tensor.part == "norm":
        bits = values.norm(tensor.key, tensor.shape, seed)
        branch = tensor.key.endswith(_BRANCHES)
        yield (bfloat16.to_bits(bfloat16.to_float(bits) * _BRANCH_GAIN) if branch else bits).tobytes()
    elif tensor.part == "scalar":
        least, spread = _SCALARS
        yield bfloat16.to_bits(least + spread * values.stream(seed, tensor.key).random(1, np.float32)).tobytes()
    else:
        yield values.tower(tensor.key, tensor.shape, tensor.dtype, seed)


def _codes(matrix: Matrix, count: int, seed: int) -> Iterator[bytes]:
    generator, table = values.stream(seed, matrix.key), _balanced(matrix.bits)
    for start in range(0, count, PIECE_BYTES):
        yield generator.bytes(min(PIECE_BYTES, count - start)).translate(table.tobytes())


def _balanced(bits: int) -> NDArray[np.uint8]:
    """Turns each random byte into a stored byte whose codes average zero, ``uint8 [256]``.

    Plain random codes average -1/2. In every row at once that is a common direction, which a deep network amplifies
    until it sees nothing else.
    """
    codes = unpack(np.arange(256, dtype=np.uint8)[:, None], bits, 8 // bits).copy()
    if bits == 8:
        codes[codes == -128] = 0
    elif bits == 4:
        low, high = codes[:, 0], codes[:, 1]
        low[low == -4] = 4
        high[high == -5] = 3
    else:
        first, rest = codes[:, :1], codes[:, 1:]
        first[first == -1] = 1
        rest[rest == -2] = 0
    return flip_offset(pack(codes, bits), bits)[:, 0]


def _scales(matrix: Matrix, seed: int, loudness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales that give rows of uniformly random codes the length that ``values.row_gains`` asks for."""
    gains = values.row_gains(matrix, seed, None)
    if matrix.key == "embed_tokens":
        gains *= loudness[:, None]
    codes = unpack(flip_offset(_balanced(matrix.bits)[:, None], matrix.bits), matrix.bits, 8 // matrix.bits)
    return gains / np.float32(math.sqrt(np.square(codes.astype(np.int64)).mean()))


def _dense(tensor: Tensor, seed: int) -> Iterator[bytes]:
    generator = values.stream(seed, tensor.key)
    rows, columns = tensor.shape
    step = max(1, PIECE_BYTES // (8 * columns))
    gain = np.float32(math.sqrt(12 / columns))
    for start in range(0, rows, step):
        uniform = generator.random((min(step, rows - start), columns), np.float32) - np.float32(0.5)
        yield bfloat16.to_bits(uniform * gain).tobytes()


def _activation_step(tensor: Tensor, shape: Shape, seed: int) -> float:
    """A step of its own for each tensor of activations: linears that read the same one have the same."""
    parent, _, leaf = tensor.key.rpartition(".")
    if leaf == "lm_head":
        return 0.0
    peaks = {"input": _INPUT_PEAK, "output": _OUTPUT_PEAK}.get(tensor.part, {})
    name = tensor.key
    if tensor.part == "input":
        name = f"{parent}.{SHARED_INPUT.get(leaf, leaf)}"
    elif tensor.part in ("key_cache", "value_cache"):
        name = f"layers.{shape.owner(int(name.split('.')[1]))}.self_attn"
    drawn = values.stream(seed, f"{name}.{tensor.part}").random()
    return peaks.get(leaf, _PEAK) / 127 * (1 + 0.1 * float(drawn))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.checkpoints.fullsize",
        description="Write a random checkpoint with a real model's dimensions.",
        epilog="example: python -m tests.support.checkpoints.fullsize e2b q4_0 /tmp/q4_0_e2b",
    )
    parser.add_argument("size", choices=sorted(FULL_SIZE))
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.folder, options.size, options.format, options.seed)


if __name__ == "__main__":
    main()
