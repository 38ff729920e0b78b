"""Cuts a shipped subgraph at its named boundaries, so that every block can be fed the reference's own inputs.

The operators, weights and quantization stay the shipped ones. Each boundary tensor is doubled: its producer still
writes it, and it becomes an output; its consumers read a new input ``<name> (given)``. One invocation then runs every
block of every layer on inputs of the judge's choosing, and no error of one block reaches the next.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.tflite import Subgraph, Tflite
from runtime_tests.stages import probes

BOUNDARY = re.compile(r"layers\.(\d+)/(input|attention|mlp|output|per_layer_input|key|value)")
GIVEN = " (given)"
INSIDE = "inside "
_NESTED = ("STABLEHLO_COMPOSITE", "WHILE", "IF", "CALL", "CALL_ONCE")


@dataclass(frozen=True)
class Forced:
    """A cut model.

    Attributes:
        model: a complete flatbuffer with one signature, ``forced``.
        given: boundary names that must be fed, under ``<name> (given)``.
        boundaries: boundary names among the outputs.
        codes: int8 outputs of quantized linears by module path, under the same name among the outputs.
        inside: module paths of linears and norms, under ``inside <path>`` among the outputs.
        inputs: all inputs by name, with their shapes.
    """

    model: bytes
    given: frozenset[str]
    boundaries: frozenset[str]
    codes: frozenset[str]
    inside: frozenset[str]
    inputs: dict[str, tuple[int, ...]]


def linears(graph: Subgraph) -> dict[str, list[tuple[int, int]]]:
    """Input and output tensor of every FULLY_CONNECTED by the module path of its weight.

    A q4_0 linear may be fed through several operators; all are listed.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for op in graph.operators:
        if op.code == "FULLY_CONNECTED" and (name := graph.tensors[op.inputs[1]].name).endswith(".weight"):
            found.setdefault(name.removesuffix(".weight"), []).append((op.inputs[0], op.outputs[0]))
    return found


def force(model: Tflite, signature: str, cut_open: bool = True, inside: bool = False) -> Forced:
    """Cuts the subgraph of a signature.

    Args:
        cut_open: False leaves the graph whole: the boundaries are outputs, and nothing is given.
        inside: also gives the outputs of linears and norms between the boundaries.

    Raises:
        CannotRunError: the graph holds operators with subgraphs of their own, or has no named boundaries.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph, entry = model.subgraph(signature), model.signatures[signature]
    nested = sorted({op.code for op in graph.operators if op.code in _NESTED})
    if nested:
        raise CannotRunError(f"{signature} holds {', '.join(nested)}, which cannot be cut")
    cut = {t.name: t.index for t in graph.tensors if BOUNDARY.fullmatch(t.name) and t.index in graph.producer}
    if not cut:
        raise CannotRunError(f"{signature} names no boundaries such as layers.0/attention")
    raw = model.raw.subgraphs[graph.index]
    tensors = [copy.copy(tensor) for tensor in raw.tensors]
    doubled: dict[int, int] = {}
    for name, index in cut.items():
        if cut_open and index in graph.consumers:
            twin = copy.copy(raw.tensors[index])
            twin.name, twin.buffer = (name + GIVEN).encode(), 0
            doubled[index] = len(tensors)
            tensors.append(twin)
    operators = [copy.copy(op) for op in raw.operators]
    for op in operators:
        op.inputs = np.array([doubled.get(int(i), int(i)) for i in op.inputs], np.int32)
    codes = {
        key: pairs[0][1]
        for key, pairs in linears(graph).items()
        if len(pairs) == 1 and graph.tensors[pairs[0][1]].type == "INT8"
    }
    # A name may stand for one tensor only; a linear whose output is a boundary is told apart by its key.
    within = probes(graph) if inside else {}
    outputs = {**entry.outputs, **cut, **codes, **{INSIDE + key: index for key, index in within.items()}}
    inputs = {**entry.inputs, **{tensors[i].name.decode(): i for i in doubled.values()}}
    piece = schema.SubGraphT()
    piece.name, piece.tensors, piece.operators = b"forced", tensors, operators
    piece.inputs = np.array(list(inputs.values()), np.int32)
    piece.outputs = np.array(list(dict.fromkeys(outputs.values())), np.int32)
    shapes = {name: tuple(int(d) for d in tensors[index].shape) for name, index in inputs.items()}
    packed = _pack(model, piece, _signature(schema, inputs, outputs))
    given = frozenset(graph.tensors[index].name for index in doubled)
    return Forced(packed, given, frozenset(cut), frozenset(codes), frozenset(within), shapes)


def _signature(schema: Any, inputs: dict[str, int], outputs: dict[str, int]) -> Any:
    def entries(names: dict[str, int]) -> list[Any]:
        out = []
        for name, index in names.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), index
            out.append(entry)
        return out

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"forced", 0
    signature.inputs, signature.outputs = entries(inputs), entries(outputs)
    return signature


def _pack(model: Tflite, graph: Any, signature: Any) -> bytes:
    """A flatbuffer with the one subgraph and the buffers that it uses; bytes from after the old one move inside."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    out = schema.ModelT()
    out.version, out.description = 3, b"forced"
    out.operatorCodes = model.raw.operatorCodes
    kept: dict[int, int] = {0: 0}
    buffers = [schema.BufferT()]
    total = 0
    for tensor in graph.tensors:
        if tensor.buffer not in kept:
            data: NDArray[np.uint8] = model.buffer(tensor.buffer)
            total += len(data)
            buffer = schema.BufferT()
            buffer.data = data if len(data) else None
            kept[tensor.buffer] = len(buffers)
            buffers.append(buffer)
        tensor.buffer = kept[tensor.buffer]
    if total > 2_000_000_000:
        raise CannotRunError(f"{total / 1e9:.1f} GB of weights do not fit a cut model, which holds at most 2 GB")
    out.buffers, out.subgraphs, out.signatureDefs = buffers, [graph], [signature]
    builder = flatbuffers.Builder(total + (1 << 20))
    builder.Finish(out.Pack(builder), b"TFL3")
    return bytes(builder.Output())
