"""Cuts a shipped subgraph at its named boundaries, so that every block can be fed the reference's own inputs.

The operators, weights and quantization stay the shipped ones. Each boundary tensor is doubled: its producer still
writes it, and it becomes an output; its consumers read a new input ``<name> (given)``. So every block runs on inputs of
the judge's choosing, and no error of one block reaches the next.

Subgraphs that an IF chooses between go along whole: they hold no boundary.

Between given values the graph falls into parts: what lies in front of all layers, each layer, and the head. A part is a
model of its own, with the operators that its outputs depend on and the weights that these use, so that a decoder of any
size is run part by part in the memory of one layer.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.cuts.branches import reached, with_branches
from runtime_tests.litert.cuts.stages import probes
from runtime_tests.litert.runners.interpreter import Interpreter, interpreter_of
from runtime_tests.memory.pages import release
from runtime_tests.readers.litert.tflite import Subgraph, Tflite

BOUNDARY = re.compile(r"layers\.(\d+)/(input|attention|mlp|output|per_layer_input|key|value)")
GIVEN = " (given)"
INSIDE = "inside "
ALL = ("input", "attention", "mlp", "output", "per_layer_input", "key", "value")
BETWEEN = ("input", "output", "per_layer_input")  # where nothing but the hidden state passes
Part = int | Literal["front", "head"]
_NESTED = ("STABLEHLO_COMPOSITE", "WHILE", "CALL", "CALL_ONCE")
_ALIGNED = 64
_OUTSIDE = 1 << 12  # bytes of a buffer from which it lies behind the flatbuffer, as it is in the file


@dataclass(frozen=True)
class Forced:
    """A cut model.

    Attributes:
        pieces: a complete flatbuffer with one signature, ``forced``, and the bytes that follow it.
        given: boundary names that must be fed, under ``<name> (given)``.
        boundaries: boundary names among the outputs.
        codes: int8 outputs of quantized linears by module path, under the same name among the outputs.
        inside: module paths of linears and norms, under ``inside <path>`` among the outputs.
        inputs: all inputs by name, with their shapes.
        outputs: all outputs by name.
    """

    pieces: tuple[Any, ...]
    given: frozenset[str]
    boundaries: frozenset[str]
    codes: frozenset[str]
    inside: frozenset[str]
    inputs: dict[str, tuple[int, ...]]
    outputs: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes of the model."""
        return sum(map(len, self.pieces))

    def model(self) -> bytes:
        """The model in one piece."""
        return b"".join(self.pieces)

    def interpreter(self, kernels: str = "xnnpack", threads: int = 2) -> Interpreter:
        """An interpreter over it.

        Raises:
            CannotRunError: the runtime refuses the model.
        """
        return interpreter_of(self.pieces, kernels, threads)

    def release(self) -> None:
        """Forgets the pages of the file that the weights lie in."""
        release(*(np.frombuffer(piece, np.uint8) for piece in self.pieces if isinstance(piece, memoryview)))


def linears(graph: Subgraph) -> dict[str, list[tuple[int, int]]]:
    """Input and output tensor of every FULLY_CONNECTED by the module path of its weight.

    A q4_0 linear may be fed through several operators; all are listed.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for op in graph.operators:
        if op.code == "FULLY_CONNECTED" and (name := graph.tensors[op.inputs[1]].name).endswith(".weight"):
            found.setdefault(name.removesuffix(".weight"), []).append((op.inputs[0], op.outputs[0]))
    return found


class Cut:
    """The subgraph of a signature, to be had in parts.

    Attributes:
        boundaries: names of all boundaries.
        made_by: by the name of a linear's int8 output its module path.
        parts: those that have outputs, in order of execution.
    """

    def __init__(
        self,
        model: Tflite,
        signature: str,
        kinds: Collection[str] = ALL,
        inside: bool = False,
        behind: Collection[str] = (),
    ) -> None:
        """Args:
            kinds: the boundaries to cut at; the others are outputs alone.
            inside: also gives the outputs of linears and norms between the boundaries.
            behind: last words of linears whose int8 outputs are given too, such as ``v_proj``.

        Raises:
            CannotRunError: the graph holds operators with subgraphs of their own, or has no named boundaries.
        """
        self._model, self._graph, self._entry = model, model.subgraph(signature), model.signatures[signature]
        graph = self._graph
        _refuse_nested(model, signature)
        cut = {t.name: t.index for t in graph.tensors if BOUNDARY.fullmatch(t.name) and t.index in graph.producer}
        if not cut:
            raise CannotRunError(f"{signature} names no boundaries such as layers.0/attention")
        self._given = {i for name, i in cut.items() if name.split("/")[1] in kinds and i in graph.consumers}
        codes = {
            key: pairs[0][1]
            for key, pairs in linears(graph).items()
            if len(pairs) == 1 and graph.tensors[pairs[0][1]].type == "INT8"
        }
        self.made_by = {graph.tensors[index].name: key for key, index in codes.items()}
        self._given |= {index for key, index in codes.items() if key.endswith(tuple(behind))}
        # A name may stand for one tensor only; a linear whose output is a boundary is told apart by its key.
        within = {INSIDE + key: index for key, index in probes(graph).items()} if inside else {}
        self.boundaries = frozenset(cut)
        self._codes, self._within = frozenset(codes), frozenset(within)
        self._outputs = {**self._entry.outputs, **cut, **codes, **within}
        self._last = max(int(match[1]) for name in cut if (match := BOUNDARY.fullmatch(name)))
        self._home = {name: self._part(name, index) for name, index in self._outputs.items()}
        last = len(graph.tensors)
        self.parts: tuple[Part, ...] = tuple(
            sorted(set(self._home.values()), key=lambda part: {"front": -1, "head": last}.get(str(part), part))
        )

    def part(self, part: Part) -> Forced | None:
        """One part; None where this signature has nothing of it."""
        return self.join([part]) if part in self.parts else None

    def join(self, parts: Iterable[Part]) -> Forced:
        """Some parts in one model."""
        from ai_edge_litert import schema_py_generated as schema

        wanted = set(parts)
        outputs = {name: index for name, index in self._outputs.items() if self._home[name] in wanted}
        operators, given = self._needed(outputs.values())
        graph, raw = self._graph, self._model.raw.subgraphs[self._graph.index]
        chosen = [graph.operators[index] for index in sorted(operators)]
        read = {index for op in chosen for index in op.inputs if index >= 0}
        inputs = {
            name: index for name, index in self._entry.inputs.items() if index in read or index in outputs.values()
        }
        used = read | {i for op in chosen for i in op.outputs if i >= 0} | {*inputs.values(), *outputs.values()}
        for index in sorted(used):  # block scales are tensors that no operator reads
            quantization = graph.tensors[index].quantization
            used |= {quantization.scale_tensor} if quantization and quantization.scale_tensor >= 0 else set()
        place = {index: number for number, index in enumerate(sorted(used))}
        tensors = [copy.copy(raw.tensors[index]) for index in sorted(used)]
        for tensor in tensors:
            tensor.quantization = _moved(tensor.quantization, place)
        twins: dict[int, int] = {}
        for index in sorted(given):
            twin = copy.copy(tensors[place[index]])
            twin.name, twin.buffer = (graph.tensors[index].name + GIVEN).encode(), 0
            twins[index] = len(tensors)
            tensors.append(twin)
        copied = []
        for op in chosen:
            new = copy.copy(raw.operators[op.index])
            new.inputs = np.array([twins.get(i, place.get(i, -1)) for i in op.inputs], np.int32)
            new.outputs = np.array([place.get(i, -1) for i in op.outputs], np.int32)
            if new.intermediates is not None and len(new.intermediates):
                raise CannotRunError(f"{op.code} keeps intermediate tensors, which cannot be cut")
            copied.append(new)
        entries = {name: place[index] for name, index in inputs.items()}
        entries |= {graph.tensors[index].name + GIVEN: twin for index, twin in twins.items()}
        made = {name: place[index] for name, index in outputs.items()}
        piece = schema.SubGraphT()
        piece.name, piece.tensors, piece.operators = b"forced", tensors, copied
        piece.inputs = np.array(list(entries.values()), np.int32)
        piece.outputs = np.array(list(dict.fromkeys(made.values())), np.int32)
        shapes = {name: tuple(int(d) for d in tensors[index].shape) for name, index in entries.items()}
        names = frozenset(made)
        return Forced(
            tuple(_pack(self._model, [piece, *with_branches(self._model, piece)], _signature(schema, entries, made))),
            frozenset(graph.tensors[index].name for index in given),
            self.boundaries & names,
            self._codes & names,
            frozenset(name.removeprefix(INSIDE) for name in self._within & names),
            shapes,
            names,
        )

    def _needed(self, targets: Iterable[int]) -> tuple[set[int], set[int]]:
        """Operators that some tensors depend on, and the given tensors that these read."""
        graph = self._graph
        operators: set[int] = set()
        given: set[int] = set()
        left = [index for index in targets if index in graph.producer]
        while left:
            op = graph.producer[left.pop()]
            if op.index in operators:
                continue
            operators.add(op.index)
            for index in op.inputs:
                if index in self._given:
                    given.add(index)
                elif index in graph.producer:
                    left.append(index)
        return operators, given

    def _part(self, name: str, index: int) -> Part:
        """Where an output belongs: by its name, or by the given values that it is made of."""
        key = name.removeprefix(INSIDE)
        named = re.search(r"(?:^|\.)layers\.(\d+)[./]", key)
        if named:
            return "front" if key.endswith("/per_layer_input") else int(named[1])
        found = [BOUNDARY.fullmatch(self._graph.tensors[i].name) for i in self._needed([index])[1]]
        layers = [(int(match[1]), match[2]) for match in found if match]
        if not layers:
            return "front"
        layer, kind = max(layers)
        if kind != "output":
            return layer
        return layer + 1 if layer < self._last else "head"


def alone(model: Tflite, signature: str) -> list[Any]:
    """A model with one signature as it is shipped, in pieces: see :func:`_pack`. Every other one costs memory.

    Raises:
        CannotRunError: its operators have subgraphs of their own.
    """
    graph, entry = model.subgraph(signature), model.signatures[signature]
    _refuse_nested(model, signature)
    from ai_edge_litert import schema_py_generated as schema

    piece = copy.copy(model.raw.subgraphs[graph.index])
    piece.tensors = [copy.copy(tensor) for tensor in piece.tensors]
    piece.operators = [copy.copy(op) for op in piece.operators]
    branches = with_branches(model, piece)
    return _pack(model, [piece, *branches], _signature(schema, entry.inputs, entry.outputs, signature))


def _refuse_nested(model: Tflite, signature: str) -> None:
    graphs = [model.subgraph(signature), *(model.subgraphs[i] for i in reached(model, model.subgraph(signature).index))]
    if nested := sorted({op.code for graph in graphs for op in graph.operators if op.code in _NESTED}):
        raise CannotRunError(f"{signature} holds {', '.join(nested)}, which cannot be cut")


def _moved(found: Any, place: dict[int, int]) -> Any:
    """A tensor's quantization with the tensor of its block scales under its new number."""
    if found is None or not hasattr(found.details, "blockSize"):
        return found
    out = copy.copy(found)
    out.details = copy.copy(found.details)
    out.details.scales = place.get(found.details.scales, found.details.scales)
    return out


def _signature(schema: Any, inputs: dict[str, int], outputs: dict[str, int], name: str = "forced") -> Any:
    def entries(names: dict[str, int]) -> list[Any]:
        out = []
        for name, index in names.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), index
            out.append(entry)
        return out

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = name.encode(), 0
    signature.inputs, signature.outputs = entries(inputs), entries(outputs)
    return signature


def _pack(model: Tflite, graphs: list[Any], signature: Any) -> list[Any]:
    """A flatbuffer with the subgraphs, the signature's first, and the larger buffers that they use, which follow it as
    views of the file.

    A flatbuffer holds 2 GB at most and is written from its end. What follows it is named by its offset from the first
    byte, so room is left for the flatbuffer, and more when it turns out too little.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    out = schema.ModelT()
    out.version, out.description = 3, b"forced"
    out.operatorCodes = model.raw.operatorCodes
    kept: dict[int, int] = {0: 0}
    buffers, behind = [schema.BufferT()], []
    for tensor in (tensor for graph in graphs for tensor in graph.tensors):
        if tensor.buffer not in kept:
            data = model.buffer(tensor.buffer)
            buffer = schema.BufferT()
            if len(data) >= _OUTSIDE:
                buffer.offset, buffer.size = _ALIGNED, len(data)
                behind.append((buffer, data))
            else:
                buffer.data = data if len(data) else None
            kept[tensor.buffer] = len(buffers)
            buffers.append(buffer)
        tensor.buffer = kept[tensor.buffer]
    out.buffers, out.subgraphs, out.signatureDefs = buffers, graphs, [signature]
    room = 1 << 16
    while True:
        end = room
        for buffer, data in behind:
            buffer.offset = end
            end = _aligned(end + len(data))
        builder = flatbuffers.Builder(room)
        builder.Finish(out.Pack(builder), b"TFL3")
        packed = builder.Output()
        if len(packed) <= room:
            break
        room = _aligned(2 * len(packed))
    pieces: list[Any] = [bytes(packed), bytes(room - len(packed) if behind else 0)]
    for _, data in behind:
        pieces += [data.data, bytes(_aligned(len(data)) - len(data))]
    return pieces


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def sequence(cuts: Iterable[Cut]) -> list[Part]:
    """The parts of all signatures in order of execution: the front, the layers, the head."""
    found = {part for cut in cuts for part in cut.parts}
    layers = sorted(part for part in found if isinstance(part, int))
    ordered: list[Part] = ["front", *layers, "head"]
    return [part for part in ordered if part in found]
