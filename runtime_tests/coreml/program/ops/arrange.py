"""Shapes and whole tensors: nothing is computed, elements are moved or made."""

from __future__ import annotations

import torch

from runtime_tests.coreml.program.kernel import Bool, Int, Ints, Kernel, Tensor, Tensors
from runtime_tests.errors import CannotRunError


def reshape(x: Tensor, shape: Ints) -> Tensor:
    """-1 takes what is left, 0 keeps the dimension of that place."""
    return x.reshape([x.shape[i] if size == 0 and x.numel() else size for i, size in enumerate(shape)])


def transpose(x: Tensor, perm: Ints) -> Tensor:
    return x.permute(perm)


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Axes are those of the result."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    if axes is None:
        return x.squeeze()
    if any(x.shape[axis] != 1 for axis in axes):
        raise CannotRunError(f"squeeze of axes {list(axes)} in shape {list(x.shape)}")
    return x.squeeze(axes)


def concat(values: Tensors, axis: Int, interleave: Bool = False) -> Tensor:
    if interleave:
        raise CannotRunError("concat with interleave")
    return torch.cat(values, axis)


def stack(values: Tensors, axis: Int) -> Tensor:
    return torch.stack(values, axis)


def split(x: Tensor, axis: Int, num_splits: Int = 0, split_sizes: Ints = ()) -> Tensors:
    """Into ``split_sizes``, or ``num_splits`` equal parts."""
    if not split_sizes:
        if num_splits < 1 or x.shape[axis] % num_splits:
            raise CannotRunError(f"split of {x.shape[axis]} into {num_splits} parts")
        split_sizes = (x.shape[axis] // num_splits,) * num_splits
    return tuple(torch.split(x, list(split_sizes), axis))


def tile(x: Tensor, reps: Ints) -> Tensor:
    return x.repeat(*reps)


def reverse(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.flip(tuple(range(x.ndim)) if axes is None else axes)


def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def fill(shape: Ints, value: Tensor) -> Tensor:
    return value.reshape(()).expand(shape).clone()


def fill_like(ref_tensor: Tensor, value: Tensor) -> Tensor:
    return value.reshape(()).expand(ref_tensor.shape).clone()


def range_1d(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    kind = start.dtype
    return torch.arange(start.item(), end.item(), step.item(), dtype=kind)


def band_part(x: Tensor, lower: Int = -1, upper: Int = -1) -> Tensor:
    """Zeros outside ``lower`` diagonals below and ``upper`` above the main one; -1 keeps all of that side."""
    rows, columns = (
        torch.arange(size).reshape(form) for size, form in zip(x.shape[-2:], ((-1, 1), (1, -1)), strict=True)
    )
    kept = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return torch.where(kept, x, torch.zeros((), dtype=x.dtype))


KERNELS: dict[str, Kernel] = {
    "reshape": Kernel(reshape, moves=True),
    "transpose": Kernel(transpose, moves=True),
    "expand_dims": Kernel(expand_dims, moves=True),
    "squeeze": Kernel(squeeze, moves=True),
    "concat": Kernel(concat, moves=True),
    "stack": Kernel(stack, moves=True),
    "split": Kernel(split, moves=True),
    "tile": Kernel(tile, moves=True),
    "reverse": Kernel(reverse, moves=True),
    "shape": Kernel(shape, moves=True),
    "fill": Kernel(fill, moves=True),
    "fill_like": Kernel(fill_like, moves=True),
    "range_1d": Kernel(range_1d),
    "band_part": Kernel(band_part, moves=True),
}
