"""Matrix products, convolution, attention. Sums are kept in the working type; only the result is rounded."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from runtime_tests.coreml.program.kernel import Bool, Int, Ints, Kernel, Tensor, Tensors, Text
from runtime_tests.errors import CannotRunError


def linear(x: Tensor, weight: Tensor, bias: Tensor = None) -> Tensor:
    return F.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: Bool = False, transpose_y: Bool = False) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def einsum(values: Tensors, equation: Text) -> Tensor:
    return torch.einsum(equation, *values)


def conv(
    x: Tensor,
    weight: Tensor,
    strides: Ints = (),
    pad_type: Text = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: Int = 1,
    bias: Tensor = None,
) -> Tensor:
    """``x [N, C, ...]``, one or two spatial dimensions; ``pad`` is begin and end of each, in order."""
    spatial = x.ndim - 2
    if pad_type not in ("valid", "custom") or spatial not in (1, 2):
        raise CannotRunError(f"conv with pad_type {pad_type[:20]!r} over {spatial} dimensions")
    if pad_type == "custom":
        x = F.pad(x, [size for i in reversed(range(spatial)) for size in pad[2 * i : 2 * i + 2]])
    run = F.conv1d if spatial == 1 else F.conv2d
    ones = (1,) * spatial
    return run(x, weight, bias, stride=strides or ones, dilation=dilations or ones, groups=groups)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor = None) -> Tensor:
    """``softmax(q k^T / sqrt(d) + mask) v``; a bool mask keeps where it is true."""
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.softmax(scores, -1) @ value


KERNELS: dict[str, Kernel] = {
    "linear": Kernel(linear),
    "matmul": Kernel(matmul),
    "einsum": Kernel(einsum),
    "conv": Kernel(conv),
    "scaled_dot_product_attention": Kernel(scaled_dot_product_attention),
}
