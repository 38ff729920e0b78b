"""One layer of the shipped graph by itself: its boundaries are given, and what makes them is compared.

What reads a boundary gets an input of the cut instead, so that each block runs on the reference's values. A layer that
reads another's keys and values gets these too. Weights stay where they lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runtime_tests.errors import CannotRunError
from runtime_tests.onnx.runner import Runner
from runtime_tests.readers.onnx.model import OnnxModel

GIVEN = "given/"
_BOUNDARY = re.compile(r"layers\.(\d+)/(attention|mlp|output|per_layer_input|key|value)")
_CACHE = re.compile(r"(present|seen|past_key_values)\.(\d+)\.(key|value)")
_CODES = "/codes"
_FLOAT, _INT8 = 1, 3  # onnx.TensorProto.DataType


@dataclass(frozen=True)
class Cut:
    """A part of the graph.

    Attributes:
        given: what it takes, by the names that these have in the whole graph.
        outputs: what it makes, by the same names.
    """

    given: tuple[str, ...]
    outputs: tuple[str, ...]
    proto: Any

    def runner(self, model: OnnxModel, threads: int) -> Runner:
        return Runner(self.proto.SerializeToString(), threads, model.path.parent)


def boundaries(model: OnnxModel) -> dict[str, tuple[int, str]]:
    """Layer and kind of every boundary that the graph names."""
    return {name: (int(m[1]), m[2]) for name in model.producer if (m := _BOUNDARY.fullmatch(name))}


def codes(model: OnnxModel, layer: int) -> list[str]:
    """Names of the int8 outputs of a layer's linears."""
    return [name for name in model.producer if name.startswith(f"layers.{layer}.") and name.endswith("/codes")]


def cut(model: OnnxModel, wanted: list[str], own: int | None) -> Cut:
    """The part that makes some values.

    Args:
        wanted: names of what it shall make.
        own: number of the cache that it writes itself; other caches' contents are given.

    Raises:
        CannotRunError: nothing makes any of them.
    """
    from onnx import helper

    number = {id(node): i for i, node in enumerate(model.nodes)}
    ends, kept = dict[str, None](), set[int]()
    todo = [model.producer[name] for name in wanted if name in model.producer]
    while todo:
        node = todo.pop()
        if number[id(node)] not in kept:
            kept.add(number[id(node)])
            for name in node.inputs:
                if _stops(name, own) or name in model.inputs:
                    ends[name] = None
                elif name in model.producer:
                    todo.append(model.producer[name])
    if not kept:
        raise CannotRunError(f"nothing makes {', '.join(wanted[:3])}")
    nodes = []
    for i in sorted(kept):
        proto = type(model.proto.graph.node[i])()
        proto.CopyFrom(model.proto.graph.node[i])
        for at, name in enumerate(proto.input):
            if name in ends and name not in model.inputs:
                proto.input[at] = GIVEN + name
        nodes.append(proto)
    used = {name for node in nodes for name in node.input}
    graph = type(model.proto.graph)(name="cut")
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for tensor in model.proto.graph.initializer if tensor.name in used)
    graph.input.extend(value for value in model.proto.graph.input if value.name in used)
    for name in ends:
        if name not in model.inputs:
            graph.input.append(helper.make_tensor_value_info(GIVEN + name, _FLOAT, None))
    made = [name for name in wanted if name in {one for node in nodes for one in node.output}]
    graph.output.extend(helper.make_tensor_value_info(name, _INT8 if _CODES in name else _FLOAT, None) for name in made)
    whole = type(model.proto)()
    whole.CopyFrom(_empty(model))
    whole.graph.CopyFrom(graph)
    return Cut(tuple(ends), tuple(made), whole)


def _stops(name: str, own: int | None) -> bool:
    found = _CACHE.fullmatch(name)
    if found is not None:
        return found[1] == "past_key_values" or own is None or int(found[2]) != own
    return _BOUNDARY.fullmatch(name) is not None


def _empty(model: OnnxModel) -> Any:
    proto = type(model.proto)(ir_version=model.proto.ir_version)
    proto.opset_import.extend(model.proto.opset_import)
    return proto
