"""Static activation quantization, and compressed weights."""

from __future__ import annotations

import torch

from runtime_tests.coreml.program.kernel import Int, Kernel, Tensor, Text
from runtime_tests.errors import CannotRunError

AT_ONCE = 1 << 24  # elements


def quantize(
    input: Tensor, scale: Tensor, output_dtype: Text, zero_point: Tensor = None, axis: Int | None = None
) -> Tensor:
    """``clip(round(input / scale) + zero_point)``, half to even."""
    limits = {"int8": (-128, 127), "uint8": (0, 255)}
    if output_dtype not in limits:
        raise CannotRunError(f"quantize to {output_dtype[:20]!r}")
    steps = torch.round(input / _along(scale, input, axis))
    if zero_point is not None:
        steps = steps + _along(zero_point, input, axis)
    return steps.clamp(*limits[output_dtype]).to(torch.int32)


def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor = None, axis: Int | None = None) -> Tensor:
    """``scale * (input - zero_point)``."""
    steps = input if zero_point is None else input - _along(zero_point, input, axis)
    return steps.to(scale.dtype) * _along(scale, input, axis)


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    if values.ndim == 0:
        return values
    if axis is None:
        raise CannotRunError("a vector of scales without an axis")
    return values.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor = None) -> Tensor:
    """``scale * (data - offset)``, each scale over a block of equal size along every axis."""
    if data.ndim != scale.ndim or any(d % s for d, s in zip(data.shape, scale.shape, strict=True)):
        raise CannotRunError(f"blocks of {list(data.shape)} by scales {list(scale.shape)}")
    # Axes are split into blocks, [d0, d1] -> [s0, d0 / s0, s1, d1 / s1], so that scales broadcast without a copy.
    split = [size for d, s in zip(data.shape, scale.shape, strict=True) for size in (s, d // s)]
    spread = [size for s in scale.shape for size in (s, 1)]
    blocks = data.reshape(split).to(scale.dtype, copy=True)
    if offset is not None:
        blocks.sub_(offset.reshape(spread).to(scale.dtype))
    return blocks.mul_(scale.reshape(spread)).reshape(data.shape)


def constexpr_lut_to_dense(indices: Tensor, lut: Tensor, vector_axis: Int | None = None) -> Tensor:
    """``lut[block of the element, index]``; ``lut`` is ``[one block an axis..., entries, 1]``."""
    if lut.shape[-1] != 1 or lut.ndim != indices.ndim + 2:
        raise CannotRunError(f"a lookup table of shape {list(lut.shape)} for indices {list(indices.shape)}")
    if indices.ndim == 2 and lut.shape == (indices.shape[0], 1, 4, 1) and _even(lut):
        return (indices.to(lut.dtype, copy=True).sub_(2)).mul_(lut[:, 0, 3])
    if indices.ndim == 2 and lut.shape[:2] == (indices.shape[0], 1) and indices.numel() > AT_ONCE:
        step = max(1, AT_ONCE // indices.shape[1])  # torch gathers by int64, eight bytes for two bits
        pairs = zip(indices.split(step), lut.split(step), strict=True)
        return torch.cat([constexpr_lut_to_dense(*pair) for pair in pairs])
    blocks, entries = lut.shape[:-2], lut.shape[-2]
    if any(d % b for d, b in zip(indices.shape, blocks, strict=True)):
        raise CannotRunError(f"lookup tables {list(blocks)} for indices {list(indices.shape)}")
    rank = indices.ndim
    split = [size for d, b in zip(indices.shape, blocks, strict=True) for size in (b, d // b)]
    order = [2 * i for i in range(rank)] + [2 * i + 1 for i in range(rank)]
    grouped = indices.reshape(split).permute(order)
    inside = grouped.shape[rank:]
    picked = torch.gather(lut.reshape(-1, entries), 1, grouped.reshape(lut[..., 0, 0].numel(), -1).to(torch.int64))
    back = [axis for i in range(rank) for axis in (i, rank + i)]
    return picked.reshape(*blocks, *inside).permute(back).reshape(indices.shape)


def _even(lut: Tensor) -> bool:
    """Whether each table of four is -2, -1, 0 and 1 times a number, to the bit: then a product looks it up sooner."""
    codes = torch.tensor([-2, -1, 0, 1], dtype=lut.dtype)
    return bool((lut[:, 0, :, 0] == codes * lut[:, 0, 3]).all())


KERNELS: dict[str, Kernel] = {
    "quantize": Kernel(quantize),
    "dequantize": Kernel(dequantize),
    "constexpr_blockwise_shift_scale": Kernel(constexpr_blockwise_shift_scale),
    "constexpr_lut_to_dense": Kernel(constexpr_lut_to_dense),
}
