"""Float activations against integer weights, on kernels that see activations as int8.

LiteRT's kernels for float activations quantize each row to 8 bits on the fly, with the row's own range. For QAT weights
whose activations are not quantized (lm_head of mobile checkpoints, everything in q4_0) that alone leaves some 40 dB
(``tests/targets/litert/test_products.py`` holds these figures).
So the activation is split: ``x = coarse + rest``, where coarse lies on the grid that such a kernel chooses for it
(range of 255 steps, zero on the grid: quantizing it again changes nothing), and the rest is at most half a step, with a
range of its own. The products are added. Two terms keep 16 bits of the activation (over 80 dB), three keep 24, which is
float32's.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from convert.model.symbol import concatenate
from convert.targets.litert.blocks import Blocks
from convert.targets.litert.emit import Symbol, symbol
from convert.targets.litert.graph import Value

_STEPS = 255.0
_SMALLEST = 1e-30  # keeps a row of zeros from dividing by zero


def split(x: Symbol, terms: int) -> list[Symbol]:
    """``terms`` tensors that add up to x ``[1, n, width]``; all but the last lie on an 8-bit grid of their own row."""
    parts = []
    for _ in range(terms - 1):
        coarse = _on_grid(x)
        parts.append(coarse)
        x = x - coarse
    return [*parts, x]


def per_channel(x: Symbol, weight: Value, terms: int) -> Symbol:
    """``x [1, n, in] -> [1, n, out]``, one product per term.

    Not stacked as rows of one product: the 2-bit kernel has a fast path for a single row, and none for two.
    """
    parts = split(x, terms)
    out = symbol(fully_connected(parts[0], weight, "float32"))
    for part in parts[1:]:
        out = out + symbol(fully_connected(part, weight, "float32"))
    return out


def blockwise(x: Symbol, weight: Blocks, terms: int) -> Symbol:
    """``x [1, n, in] -> [1, n, out]``: terms stacked as rows, so that weights are read once, plus the block offsets."""
    n, graph = x.shape[1], x.value.graph
    rows = graph.once(("stack", x.value.index, terms), lambda: concatenate(split(x, terms), dim=1).value)
    product = symbol(fully_connected(symbol(rows), weight.codes, "float32"))
    blocks = weight.offsets.shape[1]
    sums = graph.once(
        ("block sums", x.value.index), lambda: x.reshape((1, n, blocks, -1)).reduce("sum", -1, False).value
    )
    offsets = graph.op("DEQUANTIZE", [weight.offsets], weight.offsets.shape, "float32", schema.DequantizeOptionsT())
    out = symbol(fully_connected(symbol(sums), offsets, "float32"))
    for term in range(terms):
        out = out + product.narrow(1, term * n, n)
    return out if weight.factor is None else out * symbol(weight.factor)


def fully_connected(
    x: Symbol, weight: Value, dtype: str, quantization: object = None, name: str | None = None
) -> Value:
    """The bare operator; leading dimensions of x are kept."""
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    shape = (*x.shape[:-1], weight.shape[0])
    return x.value.graph.op("FULLY_CONNECTED", [x.value, weight], shape, dtype, options, name, quantization)


def _on_grid(x: Symbol) -> Symbol:
    """x rounded to 256 levels of its row, so that a kernel which derives its grid from the row's range finds them.

    Levels are counted from the lowest value, so that lowest and highest always end exactly 255 steps apart: rounding
    multiples of the step instead sometimes leaves them 254 apart, and the kernel would then choose another grid.
    """
    low = x.reduce("min", -1, True).minimum(0.0)
    high = x.reduce("max", -1, True).maximum(0.0)
    span = (high - low).maximum(_SMALLEST)
    step = span * (1.0 / _STEPS)
    level = (((x - low) / span) * _STEPS).unary("round")
    return (level + (low / step).unary("round")) * step
