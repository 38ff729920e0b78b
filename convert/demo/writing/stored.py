"""One matrix or one tensor of a checkpoint, without its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convert.lattice import packed_width


@dataclass(frozen=True)
class Matrix:
    """A weight that the formats quantize.

    Attributes:
        key: module path below the text decoder, for example ``layers.0.mlp.up_proj``; of a tower, below ``model``.
        bits: width of a code in the mobile format.
        groups: scales per row in the mobile format.
        embedding: a table that is looked up, not multiplied.
    """

    key: str
    rows: int
    columns: int
    bits: int
    groups: int = 1
    embedding: bool = False


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file.

    Attributes:
        name: full name in the safetensors header.
        dtype: as safetensors spells it: ``BF16``, ``F32``, ``I8``, ``U8``.
        key: module path, or the tensor's own name below the decoder where no module quantizes it.
        part: what it holds: ``codes``, ``scales``, ``input``, ``output``, ``key_cache``, ``value_cache``, ``weight``
            (on the q4_0 lattice), ``dense``, ``norm``, ``scalar``; of the towers, which nothing here computes with,
            ``tower`` (floats) and ``bound`` (where a linear's input or output is clipped).
        matrix: the matrix that codes, scales or weight belong to.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    key: str
    part: str
    matrix: Matrix | None = None


def stored_matrix(module: str, matrix: Matrix) -> Iterator[Tensor]:
    """Codes and scales of a matrix of the mobile format and, of a linear, its activation scales.

    Args:
        module: its full module path.
    """
    dtype, width = "I8" if matrix.bits == 8 else "U8", packed_width(matrix.columns, matrix.bits)
    codes, scales = ("embedding_quantized", "embedding_scale") if matrix.embedding else ("weight", "weight_scale")
    yield Tensor(f"{module}.{codes}", dtype, (matrix.rows, width), matrix.key, "codes", matrix)
    yield Tensor(f"{module}.{scales}", "F32", (matrix.rows, matrix.groups), matrix.key, "scales", matrix)
    if not matrix.embedding:
        yield Tensor(f"{module}.input_activation_scale", "F32", (), matrix.key, "input")
        yield Tensor(f"{module}.output_activation_scale", "F32", (), matrix.key, "output")
