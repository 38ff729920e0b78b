"""Quantized matrices of a decoder, unpacked by the judge's own code.

``MatMulNBits``: codes ``uint8 [out, in / block, block * bits / 8]``, low bits first, counted from the lowest; scales
``[out, in / block]``; no zero points. Where the scales are all one, the product is multiplied by a gain ``[out]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime_tests.readers.bits import fields
from runtime_tests.readers.onnx.model import Node, OnnxModel

PRODUCT = "MatMulNBits"


@dataclass(frozen=True)
class Matrix:
    """A matrix ``[out, in]``.

    Attributes:
        node: the product.
        gain: name of what the product is multiplied by; None: nothing.
    """

    model: OnnxModel
    node: Node
    gain: str | None

    @property
    def bits(self) -> int:
        return int(self.node.attributes["bits"])

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.node.attributes["N"]), int(self.node.attributes["K"])

    @property
    def block(self) -> int:
        return int(self.node.attributes["block_size"])

    def bytes(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows of codes as they are stored, ``uint8 [rows, width]``, a view of the file."""
        found = self.model.array(self.node.inputs[1])[start:stop]
        return found.reshape(len(found), -1)

    def codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Rows of codes, ``int8 [rows, in]``."""
        counted = fields(self.bytes(start, stop), self.bits, self.shape[1])
        return (counted.astype(np.int16) - (1 << (self.bits - 1))).astype(np.int8)

    def blocks(self, start: int, stop: int) -> NDArray[np.float32]:
        """Scales of the blocks of some rows, ``[rows, in / block]``."""
        return np.asarray(self.model.array(self.node.inputs[2])[start:stop], np.float32)

    def gains(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """What the product's columns are multiplied by, ``[rows]``."""
        return None if self.gain is None else np.asarray(self.model.array(self.gain)[start:stop], np.float32)

    def values(self, start: int, stop: int) -> NDArray[np.float32]:
        """The weights themselves, ``float32 [rows, in]``."""
        grouped = self.codes(start, stop).reshape(stop - start, -1, self.block).astype(np.float32)
        found = (grouped * self.blocks(start, stop)[:, :, None]).reshape(stop - start, -1)
        gains = self.gains(start, stop)
        return found if gains is None else found * gains[:, None]


def matrix(model: OnnxModel, key: str) -> Matrix | str:
    """The matrix of a linear, or why there is none."""
    name = f"{key}.codes"
    if name not in model.constants:
        return f"no constant {name}"
    users = model.consumers.get(name, [])
    if len(users) != 1 or users[0].type != PRODUCT or users[0].domain != "com.microsoft":
        return f"{name} is used by {', '.join(node.type for node in users) or 'nothing'}"
    node = users[0]
    attributes = {"K", "N", "bits", "block_size"}
    if len(node.inputs) != 3 or node.attributes.keys() != attributes or node.inputs[1] != name:
        return f"{node.name} has {len(node.inputs)} inputs and {', '.join(sorted(node.attributes))}"
    rows, columns, block = (int(node.attributes[k]) for k in ("N", "K", "block_size"))
    bits = int(node.attributes["bits"])
    expected = (rows, columns // block, block * bits // 8), (rows, columns // block)
    scales = node.inputs[2]
    if columns % block or scales not in model.constants or (model.shape(name), model.shape(scales)) != expected:
        return f"{node.name}: shapes {list(model.shape(name))} for {rows} x {columns} in blocks of {block}"
    readers = model.consumers.get(node.outputs[0], [])
    gains = [one for item in readers if item.type == "Mul" for one in item.inputs if one == f"{key}.scales"]
    return Matrix(model, node, gains[0] if len(readers) == 1 and gains else None)
