"""What finished ONNX models hold, read with the judge's reader; none of the writers' code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import ArtifactError
from convert.inspection.report import Cache, Report, Section, Signature
from convert.inspection.weights import Share, component, merge
from convert.model.signature import Tensor

if TYPE_CHECKING:
    from runtime_tests.readers.onnx.model import OnnxModel, Outside

CONTEXT = "gemma_bridge.context"
WINDOW = "window_past"  # the open dimension of a sliding layer's cache


def said(path: Path, name: str) -> str:
    """An entry of a model's metadata; empty where it has none of that name.

    Raises:
        ArtifactError: damaged, or no ONNX model.
    """
    from runtime_tests.errors import InputError
    from runtime_tests.readers.onnx.model import open_onnx

    try:
        return open_onnx(path).metadata.get(name, "")
    except InputError as error:
        raise ArtifactError(f"inspect {path.name}", str(error), "Build the bundle again") from error


def inspect_models(paths: list[Path]) -> Report:
    """Reads graphs and what they say of their data, no weights. The first is the decoder, where there are two.

    Raises:
        ArtifactError: damaged, or no ONNX model.
    """
    from runtime_tests.errors import InputError
    from runtime_tests.readers.onnx.model import open_onnx

    try:
        models = [open_onnx(path) for path in paths]
    except InputError as error:
        raise ArtifactError(f"inspect {paths[0].name}", str(error), "Give a model as it was built") from error
    return Report(
        file=paths[0].name,
        bytes=sum(model.size for model in models),
        sections=tuple(Section(path.name, 0, path.stat().st_size) for model in models for path in model.files),
        signatures=tuple(
            Signature(model.path.stem, "run", _tensors(model.inputs), _tensors(model.outputs)) for model in models
        ),
        cache=_cache(models[0]),
        weights=merge(share for model in models for share in _weights(model)),
        operators={model.path.stem: dict(sorted(Counter(n.type for n in model.nodes).items())) for model in models},
    )


def _tensors(outside: dict[str, Outside]) -> tuple[Tensor, ...]:
    """Dimensions that are open are shown as 0."""
    return tuple(
        Tensor(name, tuple(size if isinstance(size, int) else 0 for size in one.shape), one.dtype)
        for name, one in outside.items()
    )


def _cache(model: OnnxModel) -> Cache | None:
    keys = [one for name, one in model.inputs.items() if name.startswith("past_key_values.")]
    said = model.metadata.get(CONTEXT, "")
    if not keys or not said.isdecimal():
        return None
    context, width = int(said), np.dtype(keys[0].dtype).itemsize
    windows = {node.attributes.get("local_window_size", -1) for node in model.nodes} - {-1}
    ring = min(context, min(windows) - 1) if any(_slides(one) for one in keys) and windows else context
    values = sum((ring if _slides(one) else context) * prod(n for n in one.shape if isinstance(n, int)) for one in keys)
    return Cache(keys[0].dtype, context, len(keys) // 2, values * width, ring if ring < context else None)


def _slides(cache: Outside) -> bool:
    """Whether the rows of a cache are those that the window leaves."""
    return WINDOW in cache.shape


def _weights(model: OnnxModel) -> Iterator[Share]:
    """Every constant in the file beside the graph, by the checkpoint's name for it."""
    for name in model.constants:
        shape, key = model.shape(name), name.removesuffix(".codes").removesuffix(".scales")
        count = prod(shape)
        if name.endswith(".codes"):
            bits, groups = _bits(model, name), model.shape(f"{key}.scales")
            rows = shape[0]
            parameters = count * 8 // bits
            columns = parameters // rows
            per = "per row" if len(groups) == 1 or groups[1] == 1 else f"per {columns // groups[1]} columns"
            yield Share(component(key), bits, per, 1, parameters, count, 4 * prod(groups))
        elif not name.endswith(".scales") and not name.startswith(("ones_", "const_")):
            yield Share(component(name), 32, "none", 1, count, 4 * count, 0)


def _bits(model: OnnxModel, name: str) -> int:
    """Of a product's weights, as the node says; of a table's, from how its rows are unpacked: see the writer."""
    users = model.consumers.get(name, [])
    if not users:
        return 8
    user = users[0]
    if "bits" in user.attributes:
        return int(user.attributes["bits"])
    parts = [node for node in model.consumers.get(user.outputs[0], []) if node.type in ("BitShift", "BitwiseAnd")]
    return 8 // max(1, len(parts))
