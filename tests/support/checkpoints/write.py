"""Writes a complete small checkpoint folder in a format Google publishes, with random but calibrated numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from convert.demo.writing import companions, safetensors, tokenizer
from convert.demo.writing.stored import Tensor
from convert.lattice import flip_offset, pack
from tests.support.checkpoints import calibrate, values
from tests.support.checkpoints.calibrate import Scales
from tests.support.checkpoints.corpus import words
from tests.support.checkpoints.layout import idle, tensors
from tests.support.checkpoints.published import companions as published
from tests.support.checkpoints.published import towers
from tests.support.checkpoints.shapes import Shape


def write_checkpoint(
    folder: Path,
    shape: Shape,
    format: str,
    seed: int,
    *,
    shards: int = 1,
    min_margin: float = 0.0,
    corpus: Sequence[str] | None = None,
) -> None:
    """Writes a Hugging Face folder that transformers 5.22.2 loads as it is. Same arguments, same bytes.

    With towers in its shape it has every known trait of Google's files: see ``tests/support/checkpoints/published``.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        format: ``mobile`` or ``q4_0``.
        shards: number of safetensors files; more than one come with an index.
        corpus: words that the tokenizer is learned from; by default those of the template sentences.
        min_margin: smallest acceptable ``Scales.margin`` of the calibration, for files that are committed.

    Raises:
        ValueError: unknown format, dimensions the format cannot hold, or a calibration that sits on an edge.
    """
    corpus = words() if corpus is None else corpus
    vocabulary = published.vocabulary(shape.vocab, corpus) if shape.towers else tokenizer.learn(shape.vocab, corpus)
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
    if shape.towers:
        texts = {
            "config.json": published.text(published.model_config(shape, format, vocabulary)),
            "generation_config.json": published.text(published.generation_config()),
            "tokenizer_config.json": published.text(published.tokenizer_config()),
            "tokenizer.json": tokenizer.published_text(vocabulary),
            "chat_template.jinja": published.chat_template(),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    else:
        companions.write(folder, shape, format, vocabulary)


def _require_blocks(shape: Shape) -> None:
    for tensor in tensors(shape, "q4_0"):
        if tensor.part == "weight" and tensor.shape[1] % values.BLOCK:
            raise ValueError(f"{tensor.key}: {tensor.shape[1]} inputs are no multiple of {values.BLOCK}")


def _write_tensors(
    folder: Path, shape: Shape, format: str, seed: int, vocabulary: tokenizer.Pieces, scales: Scales, shards: int
) -> None:
    quiet = values.quiet(shape, vocabulary.spoken)
    unused = {matrix.key for matrix in idle(shape)}

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
            yield values.norm(key, tensor.shape, seed, shape.temper).tobytes()
        elif tensor.part == "scalar":
            yield values.layer_scalar(key, seed, shape.temper).tobytes()
        elif tensor.part == "tower":
            yield values.tower(key, tensor.shape, tensor.dtype, seed)
        elif tensor.part == "bound":
            yield values.bound(key, seed).tobytes()
        elif key in unused or key.startswith(towers.ROOTS):
            yield values.idle_step(tensor.name, seed).tobytes()
        else:
            yield np.float32(scales.of(tensor.part, key)).tobytes()

    layout = tensors(shape, format)
    safetensors.write(folder, layout, fill, shards, published=shape.towers is not None and format == "mobile")
