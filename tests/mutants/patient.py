"""A ``.litertlm`` in memory, to be changed. The readers' arrays are views of it: writing to them changes it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.targets.litert import container
from runtime_tests.litert.case import DECODER
from runtime_tests.readers.litert.litertlm import Section, open_litertlm
from runtime_tests.readers.litert.tflite import Subgraph, Tensor, Tflite, open_tflite

Bytes = NDArray[np.uint8]


class Patient:
    """A copy of an artifact, as bytes."""

    def __init__(self, path: Path) -> None:
        self.bytes = bytearray(path.read_bytes())
        opened = open_litertlm(path)
        self.sections, self.system = opened.sections, opened.system

    def model(self, name: str = DECODER) -> Tflite:
        """A TFLite section by its model type; its arrays are views."""
        section = self.section(name)
        return open_tflite(memoryview(self.bytes)[section.begin : section.end], name)

    def section(self, name: str) -> Section:
        """A section by its kind or its model type."""
        return next(s for s in self.sections if name in (s.kind, s.items.get("model_type")))

    def content(self, name: str) -> bytes:
        section = self.section(name)
        return bytes(self.bytes[section.begin : section.end])

    def array(self, tensor: str, section: str = DECODER) -> Bytes:
        """The bytes of a named constant."""
        model = self.model(section)
        found = next(t for g in model.subgraphs for t in g.tensors if t.name == tensor)
        return model.buffer(found.buffer)

    def tensors(self, name: str, section: str = DECODER) -> list[Tensor]:
        """A named tensor in every subgraph that has it."""
        return [graph.by_name[name] for graph in self.model(section).subgraphs if name in graph.by_name]

    def scales(self, name: str, section: str = DECODER) -> list[NDArray[np.float32]]:
        """The scales of a named tensor in every subgraph that has it."""
        return [t.quantization.scales for t in self.tensors(name, section) if t.quantization is not None]

    def rewire(self, graph: Subgraph, operator: int, old: int, new: int, model: Tflite) -> None:
        """Lets an operator read another tensor."""
        raw = model.raw.subgraphs[graph.index].operators[operator]
        raw.inputs[list(raw.inputs).index(old)] = new

    def rebuild(
        self,
        contents: Mapping[str, bytes | None] | None = None,
        items: Mapping[str, Mapping[str, str]] | None = None,
        extra: tuple[tuple[str, Mapping[str, str], bytes], ...] = (),
    ) -> None:
        """Writes the container anew.

        Args:
            contents: new bytes of sections by kind or model type; None leaves a section out.
            items: new key-value pairs of sections.
            extra: further sections at the end: kind, pairs, bytes.
        """
        contents, items, out = contents or {}, items or {}, []
        for section in self.sections:
            name = section.items.get("model_type", section.kind)
            content = contents.get(name, bytes(self.bytes[section.begin : section.end]))
            if content is not None:
                out.append(container.Section(section.kind, items.get(name, section.items), _writer(content)))
        out += [container.Section(kind, pairs, _writer(content)) for kind, pairs, content in extra]
        file = io.BytesIO()
        container.write(file, out, str(self.system["uuid"]).replace("-", "").ljust(64, "0"), {})
        self.bytes = bytearray(file.getvalue())


def _writer(content: bytes) -> Callable[[Any], object]:
    return lambda file: file.write(content)
