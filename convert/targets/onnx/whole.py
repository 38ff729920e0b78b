"""Both graphs in one, for runtimes that take token ids: its constants lie where those of the two models lie."""

from __future__ import annotations

from typing import Any

INSIDE = "embedding/"  # before the names of the embedding model's own values


def whole(embedding: Any, decoder: Any) -> Any:
    """One ``onnx.ModelProto`` of two: ids in, logits out; what the first gives the second takes. No byte is added."""
    import onnx

    handed = {value.name for value in embedding.graph.output}
    outside = handed | {value.name for value in embedding.graph.input} | {""}
    graph = onnx.GraphProto(name="text")
    for node in embedding.graph.node:
        copy = graph.node.add()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            names[:] = [name if name in outside else INSIDE + name for name in names]
        copy.name = copy.output[0]
    for tensor in embedding.graph.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = INSIDE + tensor.name
    graph.node.extend(decoder.graph.node)
    graph.initializer.extend(decoder.graph.initializer)
    graph.input.extend(embedding.graph.input)
    graph.input.extend(value for value in decoder.graph.input if value.name not in handed)
    graph.output.extend(decoder.graph.output)
    made = onnx.ModelProto()
    made.CopyFrom(decoder)
    made.graph.CopyFrom(graph)
    return made
