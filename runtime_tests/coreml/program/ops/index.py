"""Parts of tensors: slices, gathers, updates in place of a slice."""

from __future__ import annotations

import torch

from runtime_tests.coreml.program.kernel import Bool, Bools, Int, Ints, Kernel, Tensor
from runtime_tests.errors import CannotRunError


def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = (),
    begin_mask: Bools = (),
    end_mask: Bools = (),
    squeeze_mask: Bools = (),
) -> Tensor:
    """As numpy slices: a mask stands for an empty bound, a squeezed axis for a single index."""
    where, back = _window(tuple(x.shape), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    found = x[where]
    if back:
        found = found.flip(back)
    squeezed = [i for i, gone in enumerate(squeeze_mask) if gone]
    return found.squeeze(squeezed) if squeezed else found


def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """-1 as a size reaches to the end."""
    where = []
    for start, count, full in zip(begin, size, x.shape, strict=True):
        first = start % full if start < 0 else start
        last = full if count == -1 else first + count
        if not 0 <= first <= last <= full:
            raise CannotRunError(f"slice_by_size from {list(begin)} over {list(size)} in shape {list(x.shape)}")
        where.append(slice(first, last))
    return x[tuple(where)]


def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = (),
    begin_mask: Bools = (),
    end_mask: Bools = (),
    squeeze_mask: Bools = (),
    in_place: Bool = False,
) -> Tensor:
    """A copy of x whose slice is ``update``; the evaluator alone sets ``in_place``, where nobody can tell."""
    where, back = _window(tuple(x.shape), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    if back:
        raise CannotRunError("slice_update with a negative stride")
    squeezed = [i for i, gone in enumerate(squeeze_mask) if gone]
    for axis in squeezed:
        update = update.unsqueeze(axis)
    if tuple(x[where].shape) != tuple(update.shape):
        raise CannotRunError(f"slice_update of {list(x[where].shape)} by {list(update.shape)}")
    out = x if in_place else x.clone()
    out[where] = update
    return out


def _window(
    shape: Ints, begin: Ints, end: Ints, stride: Ints, begin_mask: Bools, end_mask: Bools, squeeze_mask: Bools
) -> tuple[tuple[slice, ...], list[int]]:
    """Slices of positive stride, and the axes to be turned round afterwards."""
    where, back = [], []
    for axis, full in enumerate(shape):
        step = stride[axis] if stride else 1
        first = None if begin_mask and begin_mask[axis] else begin[axis]
        last = None if end_mask and end_mask[axis] else end[axis]
        if squeeze_mask and squeeze_mask[axis]:
            index = begin[axis] % full if begin[axis] < 0 else begin[axis]
            if index >= full:
                raise CannotRunError(f"index {index} of an axis of {full}")
            where.append(slice(index, index + 1))
            continue
        if first is not None and last is not None and step > 0 and not (first <= full and last <= full):
            raise CannotRunError(f"slice {first}:{last} of an axis of {full}")
        first, last, step = slice(first, last, step).indices(full)
        if step < 0:
            count = max(0, (first - last - step - 1) // -step)
            back.append(axis)
            first, last, step = first + (count - 1) * step, first + 1, -step
        where.append(slice(first, last, step))
    return tuple(where), back


def gather(x: Tensor, indices: Tensor, axis: Int = 0, batch_dims: Int = 0, validate_indices: Bool = False) -> Tensor:
    """``x[..., indices, ...]`` along the axis; negative indices count from the end."""
    if batch_dims:
        raise CannotRunError("gather with batch dimensions")
    axis = axis % x.ndim
    flat = _wrapped(indices.reshape(-1), x.shape[axis])
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def gather_along_axis(x: Tensor, indices: Tensor, axis: Int = 0, validate_indices: Bool = False) -> Tensor:
    return torch.take_along_dim(x, _wrapped(indices, x.shape[axis]), axis)


def _wrapped(indices: Tensor, full: int) -> Tensor:
    found = indices.to(torch.int64)
    return torch.where(found < 0, found + full, found)


KERNELS: dict[str, Kernel] = {
    "slice_by_index": Kernel(slice_by_index, moves=True),
    "slice_by_size": Kernel(slice_by_size, moves=True),
    "slice_update": Kernel(slice_update, moves=True),
    "gather": Kernel(gather, moves=True),
    "gather_along_axis": Kernel(gather_along_axis, moves=True),
}
