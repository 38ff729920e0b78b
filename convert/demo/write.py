"""Writes a complete small checkpoint folder in a format Google publishes, with random but calibrated numbers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo import calibrate, config, safetensors, tokenizer, values
from convert.demo.calibrate import Scales
from convert.demo.layout import Tensor, tensors
from convert.demo.shapes import Shape
from convert.lattice import flip_offset, pack


def write_checkpoint(
    folder: Path, shape: Shape, format: str, seed: int, *, shards: int = 1, min_margin: float = 0.0
) -> None:
    """Writes a Hugging Face folder that transformers 5.22.2 loads as it is. Same arguments, same bytes.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        format: ``mobile`` or ``q4_0``.
        shards: number of safetensors files; more than one come with an index.
        min_margin: smallest acceptable ``Scales.margin`` of the calibration, for files that are committed.

    Raises:
        ValueError: unknown format, dimensions the format cannot hold, or a calibration that sits on an edge.
    """
    vocabulary = tokenizer.learn(shape.vocab)
    if format == "q4_0":
        _require_blocks(shape)
    folder.mkdir(parents=True, exist_ok=True)
    write_companions(folder, shape, format, vocabulary)
    scales = Scales({}, {}, {}, 1.0)
    if format == "mobile":
        with tempfile.TemporaryDirectory() as draft:
            write_companions(Path(draft), shape, format, vocabulary)
            _write_tensors(Path(draft), shape, format, seed, vocabulary, scales, 1)
            scales = calibrate.measure(Path(draft), shape, seed)
        if scales.margin < min_margin:
            raise ValueError(f"seed {seed}: a scale lies {scales.margin:.1e} from its rounding edge; take another seed")
    _write_tensors(folder, shape, format, seed, vocabulary, scales, shards)


def write_companions(folder: Path, shape: Shape, format: str, vocabulary: tokenizer.Pieces) -> None:
    """Writes everything but the weights: configuration, tokenizer, chat template."""
    _json(folder / "config.json", config.model_config(shape, format))
    _json(folder / "generation_config.json", config.generation_config())
    _json(folder / "tokenizer_config.json", tokenizer.tokenizer_config(shape.max_context))
    text = json.dumps(tokenizer.tokenizer_json(vocabulary), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n", "utf-8")
    (folder / "chat_template.jinja").write_text(tokenizer.CHAT_TEMPLATE, "utf-8")


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _require_blocks(shape: Shape) -> None:
    for tensor in tensors(shape, "q4_0"):
        if tensor.part == "weight" and tensor.shape[1] % values.BLOCK:
            raise ValueError(f"{tensor.key}: {tensor.shape[1]} inputs are no multiple of {values.BLOCK}")


def _write_tensors(
    folder: Path, shape: Shape, format: str, seed: int, vocabulary: tokenizer.Pieces, scales: Scales, shards: int
) -> None:
    quiet = values.quiet(shape, vocabulary.spoken)

    def fill(tensor: Tensor) -> Iterable[bytes]:
        key, matrix = tensor.key, tensor.matrix
        if tensor.part in ("codes", "scales"):
            assert matrix is not None
            # The published head is the embedding's twin, byte for byte.
            source = values.twin(matrix)
            codes, steps = values.mobile(source, seed, quiet if source.key == "embed_tokens" else None)
            yield (steps if tensor.part == "scales" else flip_offset(pack(codes, matrix.bits), matrix.bits)).tobytes()
        elif tensor.part == "weight":
            assert matrix is not None
            yield values.q4_0(matrix, seed).tobytes()
        elif tensor.part == "dense":
            groups = shape.layers if key.startswith("embed_tokens_per_layer") else 1
            rows = quiet if key == "embed_tokens.weight" else None
            yield values.dense(key, tensor.shape, seed, groups, rows).tobytes()
        elif tensor.part == "norm":
            yield values.norm(key, tensor.shape, seed).tobytes()
        elif tensor.part == "scalar":
            yield values.layer_scalar(key, seed).tobytes()
        else:
            yield np.float32(scales.of(tensor.part, key)).tobytes()

    safetensors.write(folder, tensors(shape, format), fill, shards)
