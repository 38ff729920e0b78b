"""Writes a TFLite file: a small flatbuffer, then the weights, streamed.

Weights lie after the flatbuffer (``Buffer.offset`` and ``Buffer.size``), so files beyond 2 GB work and peak memory is
one chunk. Layout: TFLite schema, ``table Buffer``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, cast

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from convert.targets.litert.graph import Model, Stream

ALIGNMENT = 64  # of weights, from the file's start: enough for every vector unit
_NOT_YET = 2  # any offset above 1; flatbuffers leaves out zeros, and the size must not change on the second pass


def write(model: Model, file: BinaryIO, advance: Callable[[int], None]) -> None:
    """Writes the model at the file's current position, which must be a multiple of 64.

    Args:
        advance: called with the number of weight bytes written.
    """
    start = file.tell()
    tree = _tree(model)
    streams = [(i, buffer) for i, buffer in enumerate(model.buffers) if isinstance(buffer, Stream)]
    offset = _aligned(len(_packed(tree)))
    for i, stream in streams:
        tree.buffers[i].offset = offset
        offset = _aligned(offset + stream.size)
    file.write(_packed(tree))
    for i, stream in streams:
        file.write(bytes(tree.buffers[i].offset - (file.tell() - start)))
        written = 0
        for chunk in stream.chunks():
            content = memoryview(cast(Any, chunk))
            size = content.nbytes
            file.write(content.cast("B"))
            written += size
            advance(size)
        if written != stream.size:
            raise AssertionError(f"buffer {i} gave {written} bytes of {stream.size}")


def stream_bytes(model: Model) -> int:
    """Bytes of all weights."""
    return sum(buffer.size for buffer in model.buffers if isinstance(buffer, Stream))


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _packed(tree: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tree(model: Model) -> Any:
    tree = schema.ModelT()
    tree.version, tree.description = 3, "Gemma 4 QAT"
    tree.operatorCodes = []
    for code, version in model.opcodes():
        entry = schema.OperatorCodeT()
        # Readers older than 2020 look at the byte-sized field: 127 tells them to look at the other one.
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
        tree.operatorCodes.append(entry)
    tree.subgraphs, tree.signatureDefs, tree.buffers = [], [], []
    for i, graph in enumerate(model.subgraphs):
        subgraph, signature = schema.SubGraphT(), schema.SignatureDefT()
        subgraph.name, subgraph.tensors, subgraph.operators = graph.name, graph.tensors, graph.operators
        subgraph.inputs, subgraph.outputs = list(graph.inputs.values()), list(graph.outputs.values())
        signature.signatureKey, signature.subgraphIndex = graph.name, i
        signature.inputs, signature.outputs = _map(graph.inputs), _map(graph.outputs)
        tree.subgraphs.append(subgraph)
        if graph.entry:
            tree.signatureDefs.append(signature)
    for buffer in model.buffers:
        entry = schema.BufferT()
        if isinstance(buffer, Stream):
            entry.offset, entry.size = _NOT_YET, buffer.size
        elif buffer:
            entry.data = list(buffer)
        tree.buffers.append(entry)
    return tree


def _map(tensors: dict[str, int]) -> list[Any]:
    out = []
    for name, index in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        out.append(entry)
    return out
