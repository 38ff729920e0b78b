"""What the engine writes when it first loads a model on a CPU: its kernels' own copies of the weights.

XNNPACK copies every matrix that something is multiplied with into the order in which its kernels read it, once for all
signatures, and keeps the copies in a file that later starts map. Tables of which rows are looked up are not copied.
The file begins with a header and ends with a list of its copies; each begins at a multiple of 128 bytes. A row of one
holds its codes, its scale and its bias (four bytes each), and for float activations also the sum of its codes.

The sizes are those of litert-lm-api 0.18.1 on x86-64 with AVX2, read from its files: E2B's is 829,664,584 bytes long.
Other processors' kernels take other numbers of rows and columns at a time, which changes the padding alone: on an
emulated arm64 (cortex-a76) the demo's file has the same length, and that of a q4_0 model of 160 columns is 5 % shorter.
With AVX-512 and VNNI columns of floats are not padded: a small q4_0 model's is 4 % shorter.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from convert.checkpoint.types import Module
from convert.lattice import QuantTensor, packed_width

ALIGNMENT = 128
HEADER = 128
ENTRY = 56  # of the list, a copy
ROWS = 8  # a kernel's at a time
COLUMNS = 4  # of floats
_STATIC = 8  # scale and bias of a row
_DYNAMIC = {2: 16, 4: 12, 8: 12}  # and the sum of its codes; of two bits their zero point as well


def copies(module: Module[Any], looked_up: Collection[str]) -> int:
    """Bytes of the copies of all matrices of a module that something is multiplied with.

    Args:
        looked_up: keys of those of which rows are looked up instead. A tied head that is not quantized is a float
            matrix of its own.
    """
    wide = {key.removesuffix(".weight"): each.shape for key, each in module.floats.items() if len(each.shape) == 2}
    plain = [shape for key, shape in wide.items() if key not in looked_up]
    plain += [wide[key] for key in module.ties.values() if key in wide]
    codes = [_codes(module, key, tensor) for key, tensor in module.quants.items() if key not in looked_up]
    return sum(codes) + sum(_floats(*shape) for shape in plain)


def _codes(module: Module[Any], key: str, tensor: QuantTensor) -> int:
    """In blocks there are codes with a bfloat16 scale a block, and the blocks' offsets as floats."""
    width = packed_width(tensor.columns, tensor.bits)
    if tensor.groups > 1 or module.stored == "rounded lattice":
        return _copy(tensor.rows, width + 2 * tensor.groups + _STATIC) + _floats(tensor.rows, tensor.groups)
    scales = module.activations.get(key)
    static = scales is not None and scales.input and scales.output
    return _copy(tensor.rows, width + (_STATIC if static else _DYNAMIC[tensor.bits]))


def _floats(rows: int, columns: int) -> int:
    return _copy(rows, 4 * _up(columns, COLUMNS) + 4)


def _copy(rows: int, width: int) -> int:
    return _up(_up(rows, ROWS) * width, ALIGNMENT) + ENTRY


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
