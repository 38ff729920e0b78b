"""ONNX Runtime: a checkpoint becomes two ONNX models, a decoder and the embedding in front of it, and both in one.

**decoder** (``model.onnx``, weights in ``model.onnx.data``): one graph for prefill and decode.

| name | shape | type | |
|---|---|---|---|
| inputs_embeds | [1, n, H] | float32 | rows of ``embed_tokens`` times sqrt(H) |
| per_layer_inputs | [1, n, L * P] | float32 | rows of ``embed_tokens_per_layer`` times sqrt(P); only if P > 0 |
| attention_mask | [1, t] | int64 | ones; t is the number of tokens so far, these n included |
| position_ids | [1, n] | int64 | positions of the n tokens |
| past_key_values.<i>.key, .value | [1, kv, t - n, hd] | float32 | of the i-th layer that owns keys and values |
| logits | [1, 1, V] | float32 | of the last token, softcapped |
| present.<i>.key, .value | [1, kv, t, hd] | float32 | |

Of a sliding layer a cache has min(t - n, W - 1) rows before a call and min(t, W - 1) after it, W the window: those that
the next token looks at. A longer one, p rows with tokens in the first min(t - n, p), has p rows afterwards: see
``caches.py``. All rows of full layers may be a longer buffer too, as ``GroupQueryAttention`` takes it.

**embedding** (``embedding.onnx``, ``embedding.onnx.data``): ``input_ids [1, n]`` int64 to ``inputs_embeds`` and
``per_layer_inputs``. Rows are taken in the checkpoint's own bits and made numbers afterwards.

**vision** (``vision.onnx``, ``vision.onnx.data``), where images are converted: ``pixel_values [1, P, pixels]`` from 0
to 1, of each patch its rows, pixels and channels in this order, and ``pixel_position_ids [1, P, 2]`` int64, x and y, -1
and -1 for padding, to ``image_features [m, H]``: the rows that stand in the image's place. Then the embedding takes
these too, of all images of a call together (none: ``[0, H]``), and puts them where the image's token stands, whose
per-layer row is the padding's; and so does the graph of both.

**text** (``text.onnx``): both graphs in one, over the same files of weights: ``input_ids`` instead of rows. This is
what onnxruntime-genai runs, whose kind of model with an embedding in front wants a vision model too [0.18.0].

**Arithmetic** is float32. Attention is ``com.microsoft.GroupQueryAttention``, which is causal and windowed by itself; a
layer that reads another's keys and values gives it none of its own. A linear is ``com.microsoft.MatMulNBits``: see
``weights.py``. A static activation scale is the scale of the ``QuantizeLinear`` and ``DequantizeLinear`` around it; in
front of a product the codes are cast instead, so that sums of whole numbers come out exact in any order, and the scale
multiplies the product.

**Names of values**: as the decoder calls them: ``layers.<i>/attention``, ``/mlp``, ``/output``, ``/per_layer_input``,
``/key``, ``/value``; ``seen.<i>.key``, ``.value``: rows of a sliding layer's cache and the new ones, which it and those
that read it look at; ``<linear>/in``, ``/codes``: int8 codes of a linear's input and output; ``<linear>/out``.

Beside the models: tokenizer, template and settings of the checkpoint, and ``genai_config.json`` for onnxruntime-genai.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convert import image_tokens
from convert.outputs import check_file, check_folder, listing_sha256
from convert.targets.onnx.names import (
    COMPANIONS,
    COPIED,
    EMBEDDING,
    GENAI,
    IMAGES,
    MODEL,
    MODELS,
    PROCESSOR,
    TEXT,
    VISION,
)
from convert.targets.onnx.options import OnnxOptions
from convert.targets.target import Described, Sizes, Target

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.costs import TargetCosts
    from convert.feeding import Calls
    from convert.images import Images
    from convert.inspection.report import Report
    from convert.progress import Progress

__all__ = ["COMPANIONS", "IMAGES", "MODELS", "TARGET", "OnnxOptions", "convert"]


def convert(checkpoint: Checkpoint, options: OnnxOptions, out: Path, progress: Progress) -> None:
    """Writes the decoder to ``out``, the embedding model and both in one beside it. Weights are streamed.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.targets.onnx.build import build

    build(checkpoint, options, out, progress)


def _agree(asked: str, options: OnnxOptions) -> None:
    """All of its choices go together."""


def _check(asked: str, checkpoint: Checkpoint, options: OnnxOptions) -> None:
    from convert.targets.onnx.weights import block_of

    for key, tensor in checkpoint.text.quants.items():
        if key not in checkpoint.text.tables:
            block_of(tensor)
    if "vision" in checkpoint.modules:
        _check_images(asked, checkpoint, options)


def _check_images(asked: str, checkpoint: Checkpoint, options: OnnxOptions) -> None:
    from convert.targets.onnx.vision import products

    products(checkpoint.modules["vision"])
    most, causal = int(options.image_tokens), "which the attention operator does not do"
    image_tokens.check(asked, checkpoint, most, options.context, causal)


def _needs(checkpoint: Checkpoint) -> None:
    from convert.checkpoint.companions import check

    check(checkpoint, COPIED)


def _sizes(checkpoint: Checkpoint, options: OnnxOptions) -> Sizes:
    from convert.targets.onnx.sizes import sizes

    return sizes(checkpoint, options)


def _costs() -> TargetCosts:
    from convert.targets.onnx.costs import COSTS

    return COSTS


def _place(out: Path, asked: str) -> None:
    """The data and the other models lie beside the decoder."""
    check_folder(out.parent, asked)
    for name in (out.name, EMBEDDING, TEXT, VISION):
        check_file(out.with_name(name), asked, b"\x08", "an ONNX model")


def _collect(checkpoint: Checkpoint, options: OnnxOptions, folder: Path) -> None:
    from convert.checkpoint.companions import carry
    from convert.targets.onnx.genai import genai_config, processor

    carry(checkpoint, folder, COPIED)
    (folder / GENAI).write_text(genai_config(checkpoint, options.context), "utf-8", newline="\n")
    if "vision" in checkpoint.modules:
        config = checkpoint.modules["vision"].config
        told = processor(int(options.image_tokens), config.patch, config.pool)
        (folder / PROCESSOR).write_text(told, "utf-8", newline="\n")


def _files(folder: Path, checkpoint: Checkpoint) -> set[str]:
    images = (*IMAGES, PROCESSOR) if "vision" in checkpoint.modules else ()
    return {*MODELS, *images, *COMPANIONS}


def _digest(model: Path) -> str:
    beside = (EMBEDDING, f"{EMBEDDING}.data", TEXT)
    images = IMAGES if model.with_name(VISION).is_file() else ()
    return listing_sha256(model.parent, (model.name, f"{model.name}.data", *beside, *images))


def _described(folder: Path) -> Described:
    from convert.targets.onnx.inspect import inspect_models

    images = [folder / VISION] if (folder / VISION).is_file() else []
    found = inspect_models([folder / MODEL, folder / EMBEDDING, *images])
    decoder, tables, seeing = (found.section(f"{name}.data") for name in (MODEL, EMBEDDING, VISION))
    return Described(found, found.weights, decoder, tables, mapped_images=seeing)


def _calls(checkpoint: Checkpoint, folder: Path) -> Calls | None:
    """Names and shapes stand in the graph and in ``genai_config.json``, which the runtime reads."""
    return None


def _images(checkpoint: Checkpoint, folder: Path) -> Images | None:
    if "vision" not in checkpoint.modules:
        return None
    from convert.targets.onnx.seen import images

    return images(checkpoint, folder / VISION)


def _image_working(checkpoint: Checkpoint, tokens: int) -> int:
    from convert.targets.onnx.seen import working

    return working(checkpoint.modules["vision"].config, tokens)


def _inspect(path: Path) -> Report | None:
    from convert.targets.onnx.inspect import inspect_models

    if path.suffix != ".onnx" or not path.is_file():
        return None
    beside = [path.with_name(name) for name in (EMBEDDING, VISION)] if path.name == MODEL else []
    return inspect_models([path, *(one for one in beside if one.is_file())])


def _runtime() -> tuple[str, str]:
    from importlib.metadata import version

    return "ONNX Runtime", version("onnxruntime")


TARGET = Target(
    name="onnx",
    container="ONNX models with their weights in files beside them",
    model=MODEL,
    platforms=frozenset({"android", "desktop", "ios"}),
    options=OnnxOptions,
    prefill=(512,),
    pads=False,
    renders=False,
    kernels=frozenset({(2, 0), (4, 0), (8, 0), (4, 32)}),
    toolchain=(
        "Jinja2",
        "matplotlib",
        "numpy",
        "onnx",
        "onnxruntime",
        "onnxruntime-genai",
        "protobuf",
        "torch",
        "transformers",
    ),
    runtime=_runtime,
    agree=_agree,
    check=_check,
    needs=_needs,
    sizes=_sizes,
    costs=_costs,
    convert=convert,
    place=_place,
    collect=_collect,
    files=_files,
    digest=_digest,
    describe=_described,
    calls=_calls,
    inspect=_inspect,
    kinds=("an .onnx",),
    modules=frozenset({"text", "vision"}),
    images=_images,
    image_working=_image_working,
)
