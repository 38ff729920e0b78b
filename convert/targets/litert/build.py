"""Puts the graphs, the metadata and the tokenizer together into a `.litertlm`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from convert.checkpoint.module import kinds
from convert.checkpoint.types import Checkpoint
from convert.choices import idle
from convert.errors import CheckpointError
from convert.progress import Progress
from convert.targets.litert import container, metadata, pack, sentencepiece
from convert.targets.litert.graph import Model
from convert.targets.litert.modules import lowered
from convert.targets.litert.options import LitertOptions, drafts

_FLOAT32 = ("tf_lite_prefill_decode", "tf_lite_mtp_drafter", "tf_lite_vision_encoder", "tf_lite_vision_adapter")


def build(
    checkpoint: Checkpoint,
    options: LitertOptions,
    out: Path,
    progress: Progress,
    tokenizer: container.Section | None = None,
) -> None:
    """See ``convert.targets.litert.convert``.

    Args:
        tokenizer: its section; by default made of the checkpoint's.
    """
    config = checkpoint.text.config
    models: dict[str, Model] = {}
    with progress.stage("lower the decoder"):
        for name, each in lowered().items():
            if name in checkpoint.modules:
                models |= each.sections(checkpoint, options)
        vision = checkpoint.modules.get("vision")
        images = None if vision is None else vision.config
        llm = metadata.llm_metadata(checkpoint.folder, options, checkpoint.settings, images)
        executor = metadata.executor_metadata(config, options, drafts(checkpoint.modules))
        tokenizer = tokenizer or _tokenizer(checkpoint.folder)
    total = sum(pack.stream_bytes(model) for model in models.values())
    with progress.stage("write weights", total) as stage, out.open("wb") as file:
        sections = [
            container.Section("LlmMetadataProto", {}, _constant(llm)),
            container.Section("ExecutorMetadataProto", {}, _constant(executor)),
            tokenizer,
        ]
        sections += [_model(name, model, stage.advance) for name, model in models.items()]
        container.write(file, sections, _digest(checkpoint, options), {"Authors": "gemma 4 qat bridge"})


def _constant(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


def _model(name: str, model: Model, advance: Callable[[int], None]) -> container.Section:
    items = {"model_type": name}
    if name in _FLOAT32:
        # Between the integer products the mathematics was trained in at least bfloat16's range; float16 overflows.
        items["prefer_activation_type"] = "fp32"
    return container.Section("TFLiteModel", items, lambda file: pack.write(model, file, advance))


def _tokenizer(folder: Path) -> container.Section:
    """The tokenizer in the form that the engine loads fastest: as a SentencePiece model where that is the same one.

    Else tokenizer.json itself: its size, then a zlib stream. Level 9 takes five times as long as 6 and saves a
    twentieth; laid out without blanks it would load hardly faster and no longer be the checkpoint's file.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(
            f"read {folder.name}", "there is no tokenizer.json", "copy it from the model's repository into the folder"
        )
    content = path.read_bytes()
    try:
        return container.Section("SP_Tokenizer", {}, _constant(sentencepiece.read(content)))
    except sentencepiece.DifferentError:
        stored = len(content).to_bytes(8, "little") + zlib.compress(content, 6)
        return container.Section("HF_Tokenizer_Zlib", {}, _constant(stored))


def _digest(checkpoint: Checkpoint, options: LitertOptions) -> str:
    """Hex SHA-256 of what determines the output: the input files' digests and the options."""
    files = {name: digest for name, (digest, _) in sorted(checkpoint.source.files.items())}
    silent = idle(type(options), [kinds()[name].modality for name in checkpoint.modules])
    chosen = {name: value for name, value in dataclasses.asdict(options).items() if name not in silent}
    parts = {"files": files, "format": checkpoint.format, "options": chosen}
    if checkpoint.drafter is not None:
        parts["drafter"] = {name: digest for name, (digest, _) in sorted(checkpoint.drafter.source.files.items())}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
