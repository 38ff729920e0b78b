"""Rows of images among those of tokens, in the embedding model."""

from __future__ import annotations

import numpy as np

from convert.checkpoint.types import Checkpoint
from convert.targets.onnx.graph import IMAGE_ROWS, TOKENS, Graph, Value, element


class Images:
    """Where the token of an image stands, the next of the rows that are given takes its place.

    Args:
        ids: int64 ``[1, n]``, one token for each row.
    """

    def __init__(self, graph: Graph, checkpoint: Checkpoint, ids: Value) -> None:
        self._graph, self._ids, settings = graph, ids, checkpoint.settings
        self._width, self._padding = checkpoint.text.config.hidden, settings.pad
        self._rows = graph.input("image_features", (IMAGE_ROWS, self._width), "float32")
        token = graph.constant(np.int64(settings.placeholders["image"]))
        self._there = graph.node("Equal", (ids, token), (1, TOKENS), "bool")

    def among(self, tokens: Value) -> Value:
        """Rows ``[1, n, H]`` of tokens with those of images in their places.

        More tokens than rows are refused when it runs.
        """
        graph, axis = self._graph, self._graph.constant(np.int64(1))
        counted = graph.node("Cast", (self._there,), (1, TOKENS), "int64", to=element("int64"))
        number = graph.node("CumSum", (counted, axis), (1, TOKENS), "int64")
        # Row 0 stands in front for tokens that are none, so that there is one where no image is.
        front = graph.constant(np.zeros((1, self._width), np.float32))
        rows = graph.node("Concat", (front, self._rows), (IMAGE_ROWS, self._width), "float32", axis=0)
        index = graph.node("Mul", (number, counted), (1, TOKENS), "int64")
        found = graph.node("Gather", (rows, index), (1, TOKENS, self._width), "float32")
        last = graph.constant(np.array([-1], np.int64))
        there = graph.node("Unsqueeze", (self._there, last), (1, TOKENS, 1), "bool")
        return graph.node("Where", (there, found, tokens), (1, TOKENS, self._width), "float32")

    def padded(self) -> Value:
        """The tokens whose per-layer rows are taken: the padding's for an image, as transformers has it."""
        padding = self._graph.constant(np.int64(self._padding))
        return self._graph.node("Where", (self._there, padding, self._ids), (1, TOKENS), "int64")
