"""A small reader and evaluator of the packages that the Core ML target writes: nothing of the writer's code.

The judge has an evaluator of its own, which is checked operation by operation. This one only knows what the decoder
uses, and serves the writer's tests.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from convert.checkpoint.types import Checkpoint
from convert.model import eager
from convert.model.rope import angles, inverse_frequencies
from convert.targets.coreml import proto

Array = np.ndarray[Any, Any]
NUMPY = {"FLOAT16": np.float16, "FLOAT32": np.float32, "INT32": np.int32, "INT8": np.int8, "BOOL": np.bool_}
RECORDS = {1: ("FLOAT16", 16), 2: ("FLOAT32", 32), 4: ("INT8", 8), 8: ("INT4", 4), 10: ("UINT2", 2)}
TORCH = {"FLOAT16": torch.float16, "FLOAT32": torch.float32, "INT32": torch.int32, "INT8": torch.int8}


@dataclass
class Package:
    """A package on the disk, opened."""

    path: Path
    model: Any = None
    weights: bytes = b""
    records: list[tuple[int, str, int]] = field(default_factory=list)
    kept: dict[tuple[str, str], torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        items = json.loads((self.path / "Manifest.json").read_text())["itemInfoEntries"].values()
        places = {item["name"]: self.path / "Data" / item["path"] for item in items}
        self.model = proto.model().Model.FromString(places["model.mlmodel"].read_bytes())
        self.weights = (places["weights"] / "weight.bin").read_bytes()
        count, version = struct.unpack_from("<II", self.weights)
        assert version == 2
        at = 64
        for _ in range(count):
            sentinel, kind, size, start, padding = struct.unpack_from("<IIQQQ", self.weights, at)
            assert (sentinel, at % 64, start, padding) == (0xDEADBEEF, 0, at + 64, 0)
            self.records.append((at, RECORDS[kind][0], size))
            at = -(-(start + size) // 64) * 64

    def block(self, function: str) -> Any:
        (block,) = self.model.mlProgram.functions[function].block_specializations.values()
        return block

    def operation(self, function: str, output: str) -> Any:
        """The operation that gives a value."""
        return next(op for op in self.block(function).operations if output in [o.name for o in op.outputs])

    def value(self, value: Any) -> Any:
        """A constant of the program or of weight.bin; codes as int8."""
        kind = value.type.tensorType
        shape, dtype = tuple(d.constant.size for d in kind.dimensions), self.dtype(value)
        if value.HasField("blobFileValue"):
            assert value.blobFileValue.fileName == "@model_path/weights/weight.bin"
            (size,) = (size for at, name, size in self.records if (at, name) == (value.blobFileValue.offset, dtype))
            raw = np.frombuffer(self.weights, np.uint8, size, value.blobFileValue.offset + 64)
            return codes(raw, dtype, prod(shape)).reshape(shape)
        tensor = value.immediateValue.tensor
        if dtype == "STRING":
            return tensor.strings.values[0]
        if dtype in ("FLOAT16", "INT8"):
            return np.frombuffer(tensor.bytes.values, NUMPY[dtype]).reshape(shape)
        fields = {"FLOAT32": tensor.floats, "INT32": tensor.ints, "BOOL": tensor.bools}
        return np.array(fields[dtype].values, NUMPY[dtype]).reshape(shape)

    @staticmethod
    def dtype(value: Any) -> str:
        return proto.mil().DataType.Name(value.type.tensorType.dataType)

    def run(
        self, function: str, inputs: dict[str, Array], states: dict[str, torch.Tensor], seen: dict[str, Any]
    ) -> Array:
        """The function's output; ``states`` are changed, and every value is left in ``seen``."""
        seen.update({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()})
        block = self.block(function)
        for op in block.operations:
            key = (function, op.outputs[0].name) if op.outputs else ("", "")
            if key in self.kept:
                seen[key[1]] = self.kept[key]
                continue
            given: dict[str, Any] = {}
            for name, argument in op.inputs.items():
                values = [self._argument(binding, states, seen) for binding in argument.arguments]
                given[name] = values if name == "values" else values[0]
            if op.type == "write_state":
                states[given["input"]] = given["data"]
                continue
            (output,) = op.outputs
            if op.type == "const":
                result = self.value(op.attributes["val"])
                result = result if isinstance(result, str) else np.array(result)
            else:
                result = OPERATIONS[op.type](states=states, **given)
            dtype = self.dtype(output)
            seen[output.name] = (
                result if dtype == "STRING" else torch.as_tensor(result).to(TORCH.get(dtype, torch.bool))
            )
            if dtype != "STRING":
                shape = tuple(d.constant.size for d in output.type.tensorType.dimensions)
                assert tuple(seen[output.name].shape) == shape, (op.type, output.name)
            if op.type.startswith("const"):
                self.kept[key] = seen[output.name]
        (name,) = block.outputs
        return np.asarray(seen[name])

    def _argument(self, binding: Any, states: dict[str, torch.Tensor], seen: dict[str, Any]) -> Any:
        if binding.HasField("value"):
            return torch.from_numpy(np.array(self.value(binding.value)))
        return binding.name if binding.name in states else seen[binding.name]


def codes(raw: Array, dtype: str, count: int) -> Array:
    """Elements of a record; low bits first."""
    if dtype not in ("INT4", "UINT2"):
        return raw.view(NUMPY[dtype])[:count]
    bits = {"INT4": 4, "UINT2": 2}[dtype]
    parts = np.stack([(raw >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)], axis=-1).ravel()[:count]
    return np.where(parts > 7, parts.astype(np.int8) - 16, parts).astype(np.int8)


def _op(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Float16 is computed in float32 and rounded to the declared type afterwards."""

    def call(states: Any = None, **given: Any) -> torch.Tensor:
        wide = {
            key: value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.float16 else value
            for key, value in given.items()
        }
        return make(**wide)

    return call


def _box(begin: torch.Tensor, end: torch.Tensor) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))


def _slice_update(x: torch.Tensor, update: torch.Tensor, begin: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[_box(begin, end)] = update
    return out


def _blockwise(data: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return data.float() * scale.repeat_interleave(data.shape[1] // scale.shape[1], 1)


def _matmul(x: torch.Tensor, y: torch.Tensor, transpose_x: Any, transpose_y: Any) -> torch.Tensor:
    assert not transpose_x
    return x @ (y.mT if transpose_y else y)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _op(lambda x, y: x + y),
    "sub": _op(lambda x, y: x - y),
    "mul": _op(lambda x, y: x * y),
    "real_div": _op(lambda x, y: x / y),
    "maximum": _op(lambda x, y: torch.maximum(x, y)),
    "abs": _op(lambda x: x.abs()),
    "tanh": _op(lambda x: x.tanh()),
    "rsqrt": _op(lambda x, epsilon: torch.rsqrt(x + epsilon)),
    "softmax": _op(lambda x, axis: x.softmax(int(axis))),
    "gelu": _op(lambda x, mode: F.gelu(x, approximate={"TANH_APPROXIMATION": "tanh", "EXACT": "none"}[mode])),
    "reduce_mean": _op(lambda x, axes, keep_dims: x.mean(tuple(axes.tolist()), keepdim=bool(keep_dims))),
    "reduce_max": _op(lambda x, axes, keep_dims: x.amax(tuple(axes.tolist()), keepdim=bool(keep_dims))),
    "cast": _op(lambda x, dtype: x.to({"fp16": torch.float16, "fp32": torch.float32}[dtype])),
    "reshape": lambda states, x, shape: x.reshape(shape.tolist()),
    "transpose": lambda states, x, perm: x.permute(perm.tolist()),
    "concat": lambda states, values, axis, interleave: torch.cat(values, int(axis)),
    "slice_by_index": lambda states, x, begin, end: x[_box(begin, end)],
    "gather": lambda states, x, indices, axis, batch_dims, validate_indices: x.index_select(int(axis), indices),
    "slice_update": lambda states, **given: _slice_update(**given),
    "matmul": _op(_matmul),
    "linear": _op(lambda x, weight: x @ weight.T),
    "quantize": _op(lambda input, scale, output_dtype: torch.clamp(torch.round(input / scale), -128, 127)),
    "dequantize": _op(lambda input, scale: input.float() * scale),
    "constexpr_blockwise_shift_scale": _op(_blockwise),
    "constexpr_lut_to_dense": _op(lambda indices, lut: torch.gather(lut.reshape(len(lut), 4), 1, indices.long())),
    "read_state": lambda states, input: states[input],
}


def states(package: Package) -> dict[str, torch.Tensor]:
    """Empty states of a conversation, filled with something that must not be seen."""
    found = {}
    for value in package.model.mlProgram.functions["decode"].inputs:
        if value.type.HasField("stateType"):
            kind = value.type.stateType.wrappedType.tensorType
            dtype = TORCH[proto.mil().DataType.Name(kind.dataType)]
            found[value.name] = torch.full([d.constant.size for d in kind.dimensions], 9.0, dtype=dtype)
    return found


def slots(ring: int, count: int) -> list[int | None]:
    """Which position each row of a ring holds when so many were written, one after the other."""
    out: list[int | None] = [None] * ring
    for position in range(count):
        out[position % ring] = position
    return out


def feed(
    package: Package, checkpoint: Checkpoint, ids: Array, start: int, count: int, real: int | None = None
) -> dict[str, Array]:
    """Inputs for ``count`` tokens from ``start`` on, as an app makes them; those behind ``real`` ones are padding."""
    config, rows = checkpoint.text.config, ids[start : start + count]
    described = {f.name: f for f in package.model.description.functions[-1].input}
    float_ = {65552: np.float16, 65568: np.float32}[described["embeddings"].type.multiArrayType.dataType]
    context = described["mask_full"].type.multiArrayType.shape[-1]
    position, made = torch.arange(start, start + count), {"position": np.array([start], np.int32)}
    real = count if real is None else real
    ring = described["ring_rows"].type.multiArrayType.shape[0] if "ring_rows" in described else 0
    if ring:
        after = slots(ring, start + real)
        made["ring_rows"] = np.array(
            [row if p is None or p < start else ring + p - start for row, p in enumerate(after)], np.int32
        )
    floats = {"embeddings": eager.look_up(checkpoint.text, "embed_tokens", rows, config.hidden**0.5)}
    table = eager.look_up(checkpoint.text, "embed_tokens_per_layer", rows, config.per_layer_width**0.5)
    floats["per_layer_embeddings"] = table.reshape(1, count, len(config.layers), config.per_layer_width)
    for kind, suffix in (("sliding_attention", "sliding"), ("full_attention", "full")):
        size = next(layer.head_dim for layer in config.layers if layer.kind == kind)
        for part, turn in zip(
            ("cos", "sin"), angles(position, inverse_frequencies(config.ropes[kind], size)), strict=True
        ):
            floats[f"{part}_{suffix}"] = torch.cat([turn, turn], -1).reshape(count, size)
        columns = torch.arange(context)
        if ring and suffix == "sliding":
            columns = torch.tensor([-1000 if p is None else p for p in slots(ring, start)] + position.tolist())
        seen = columns <= position[:, None]
        if suffix == "sliding":
            seen &= columns > position[:, None] - config.window
        floats[f"mask_{suffix}"] = torch.where(seen, 0.0, -1e4)[None, None]
    return made | {name: np.asarray(value).astype(float_) for name, value in floats.items()}
