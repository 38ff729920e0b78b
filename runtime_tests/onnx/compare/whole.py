"""Rung 0 for ONNX, fifth part: the model that an app runs is the two that were judged, node by node."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_tests.onnx.case import OnnxCase
from runtime_tests.readers.onnx.model import OnnxModel
from runtime_tests.results import Check, none

INSIDE = "embedding/"  # before the names of the embedding model's own values


def compare_whole(case: OnnxCase) -> list[Check]:
    """Nodes in their order, constants with their places, inputs and outputs."""
    wrong = [*_nodes(case), *_constants(case), *_outside(case)]
    return [
        none(f"{case.text.path.name} is both models, one behind the other", wrong, "differences", len(case.text.nodes))
    ]


def _named(model: OnnxModel, name: str) -> str:
    """How a name of the embedding model is called in the whole."""
    return name if not name or name in model.inputs or name in model.outputs else INSIDE + name


def _nodes(case: OnnxCase) -> Iterator[str]:
    first = [
        (
            node.type, node.domain, node.attributes,
            tuple(_named(case.embedding, one) for one in node.inputs),
            tuple(_named(case.embedding, one) for one in node.outputs),
        )
        for node in case.embedding.nodes
    ]  # fmt: skip
    second = [(node.type, node.domain, node.attributes, node.inputs, node.outputs) for node in case.decoder.nodes]
    found = [(node.type, node.domain, node.attributes, node.inputs, node.outputs) for node in case.text.nodes]
    expected = [*first, *second]
    if len(found) != len(expected):
        yield f"{len(found)} nodes for {len(expected)}"
    for mine, its in zip(expected, found, strict=False):
        if mine != its:
            yield f"{its[4][0] if its[4] else its[0]} is another node than {mine[4][0]}"


def _constants(case: OnnxCase) -> Iterator[str]:
    expected = {_named(case.embedding, name): case.embedding.stored(name) for name in case.embedding.constants}
    expected |= {name: case.decoder.stored(name) for name in case.decoder.constants}
    for name in sorted({*expected, *case.text.constants}):
        if name not in case.text.constants or case.text.stored(name) != expected.get(name):
            yield f"constant {name}"


def _outside(case: OnnxCase) -> Iterator[str]:
    handed = case.embedding.outputs
    given = case.embedding.inputs | {name: one for name, one in case.decoder.inputs.items() if name not in handed}
    for side, expected, found in (
        ("input", given, case.text.inputs),
        ("output", case.decoder.outputs, case.text.outputs),
    ):
        for name in sorted({*expected, *found}):
            if expected.get(name) != found.get(name):
                yield f"{side} {name}"
    if not handed.keys() <= case.decoder.inputs.keys():
        yield "the decoder does not take what the embedding model gives"
