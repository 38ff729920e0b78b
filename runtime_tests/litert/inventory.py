"""Where the artifact's bytes are: by component of the model and bits of a weight. They add up to the file's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime_tests.measures.evidence import Share
from runtime_tests.readers.litert.litertlm import LiteRtLm
from runtime_tests.readers.litert.tflite import Subgraph, Tensor, Tflite

WIDTHS = {"INT2": 2, "INT4": 4, "INT8": 8, "FLOAT16": 16, "INT16": 16, "FLOAT32": 32}  # INT16: bfloat16 patterns
# Sections that count as one component.
WHOLE = {
    "tf_lite_mtp_drafter": "drafter",
    "tf_lite_vision_encoder": "vision encoder",
    "tf_lite_vision_adapter": "vision encoder",
    "tf_lite_end_of_vision": "vision encoder",
}
_ENDS = (".x", ".y", ".row")  # of a whole section's tables beside its weights
LAYOUT = "graphs, metadata, padding"
_PARTS = (
    ("embed_tokens_per_layer", "per-layer embedding"),
    ("embed_tokens", "embedding"),
    ("lm_head", "head"),
    ("self_attn", "attention"),
    ("mlp", "MLP"),
    ("per_layer", "per-layer input"),
)


def shares(file: LiteRtLm, opened: Callable[[str], Tflite]) -> list[Share]:
    """All bytes of the file, biggest share first. A buffer that several tensors share is counted once.

    Args:
        opened: its TFLite sections by model type, under the checkpoint's names.
    """
    sums: dict[tuple[str, int], list[int]] = {}

    def add(key: tuple[str, int], tensors: int, weight_bytes: int, scale_bytes: int) -> None:
        entry = sums.setdefault(key, [0, 0, 0])
        for i, n in enumerate((tensors, weight_bytes, scale_bytes)):
            entry[i] += n

    for section in file.models():
        for tensor, scale_bytes, size, is_scale in _constants(opened(section), section in WHOLE):
            key = (WHOLE.get(section) or _component(tensor.name), WIDTHS[tensor.type])
            if is_scale:
                add((key[0], 4), 0, 0, size)  # block scales belong to 4-bit weights
            else:
                add(key, 1, size, scale_bytes)
    for part in file.sections:
        if part.kind in ("HF_Tokenizer_Zlib", "SP_Tokenizer"):
            add(("tokenizer", 0), 0, part.end - part.begin, 0)
    known = sum(weights + scales for _, weights, scales in sums.values())
    add((LAYOUT, 0), 0, file.path.stat().st_size - known, 0)
    made = [Share(component, bits, *entry) for (component, bits), entry in sums.items()]
    return sorted(made, key=lambda s: (-(s.weight_bytes + s.scale_bytes), s.component, s.bits))


def _constants(model: Tflite, whole: bool) -> Iterator[tuple[Tensor, int, int, bool]]:
    """Named weights: the tensor, bytes of its per-row scales, its own bytes, and whether it is itself a scale."""
    seen: set[int] = set()
    for graph in model.subgraphs:
        scales = _block_scales(graph)
        for tensor in graph.tensors:
            size = len(model.buffer(tensor.buffer)) if tensor.buffer else 0
            if tensor.type in WIDTHS and size and tensor.buffer not in seen and _known(tensor.name, whole):
                seen.add(tensor.buffer)
                quantization = tensor.quantization
                rows = 0 if quantization is None else 4 * quantization.scales.size
                yield tensor, rows, size, tensor.index in scales


def _known(name: str, whole: bool) -> bool:
    """Whether a constant is a weight and none of the graph's own; ``whole``: of a section that is one component."""
    return _component(name) != "other" or (whole and (".weight" in name or name.endswith(_ENDS)))


def _block_scales(graph: Subgraph) -> set[int]:
    found = {t.quantization.scale_tensor for t in graph.tensors if t.quantization and t.quantization.block}
    offsets = {graph.tensors[i].name.removesuffix("_scale") + "_offset" for i in found if i >= 0}
    return found | {tensor.index for tensor in graph.tensors if tensor.name in offsets}


def _component(name: str) -> str:
    """The part of the model that a tensor belongs to; ``other`` for the graph's own constants.

    >>> _component("layers.3.self_attn.q_norm.weight"), _component("layers.3.mlp.up_proj.weight"), _component("x:3")
    ('norms and scalars', 'MLP', 'other')
    """
    last = name.removesuffix(".weight").rpartition(".")[2]
    if "norm" in last or last == "layer_scalar":
        return "norms and scalars"
    return next((part for key, part in _PARTS if key in name), "other")
