"""Rung 0 for ONNX, fourth part: what ``genai_config.json`` tells onnxruntime-genai and the loop of a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.genai import CONFIG
from runtime_tests.onnx.images import budget
from runtime_tests.readers.dimensions import SLIDING
from runtime_tests.readers.objects import read_object
from runtime_tests.results import Check, none

_SAMPLER = ("top_k", "top_p", "temperature")


def compare_genai(case: OnnxCase) -> list[Check]:
    """Tokens, sizes and sampler are the checkpoint's; files and names are the models'. Nothing beside bare models."""
    path = case.decoder.path.parent / CONFIG
    if not path.exists():
        return []
    try:
        content = read_object(path)
        wrong = [
            f"{name} is {found!r}, expected {expected!r}"
            for name, found, expected in _both(case, content)
            if found != expected
        ]
    except (InputError, KeyError, TypeError, AttributeError) as error:
        wrong = [f"{CONFIG} cannot be read: {error!r}"]
    return [none("settings for onnxruntime-genai", wrong, "differences", len(case.stops))]


def _both(case: OnnxCase, content: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    """What stands there, and what has to."""
    model, search, dims = content["model"], content["search"], case.dims
    decoder, sees = model["decoder"], case.artifact.images is not None
    driven = case.decoder if sees else case.text
    yield "bos_token_id", model["bos_token_id"], case.start
    yield "eos_token_id", sorted(model["eos_token_id"]), case.stops
    yield "vocab_size", model["vocab_size"], dims.vocab
    yield "context_length", model["context_length"], case.context
    yield "filename", decoder["filename"], driven.path.name
    yield "type", model["type"], "gemma4" if sees else "gemma4_text"
    yield "num_hidden_layers", decoder["num_hidden_layers"], len(dims.owners)
    yield "hidden_size", decoder["hidden_size"], dims.hidden
    for side, there in (("inputs", driven.inputs), ("outputs", driven.outputs)):
        yield side, sorted(_names(decoder[side], len(dims.owners))), sorted(there)
    yield "max_length", search["max_length"], case.context
    # Caches of sliding layers do not grow by the tokens of a call: a runtime that made room for these would fail.
    yield "past_present_share_buffer", search["past_present_share_buffer"], True
    sliding = [i for i, owner in enumerate(dims.owners) if dims.kinds[owner.layer] == SLIDING]
    window = {"window_size": dims.window, "layers": sliding, "slide_inputs": False, "slide_key_value_cache": False}
    yield "sliding_window", decoder.get("sliding_window"), window if sliding else None
    if sees:
        yield from _seeing(case, model)
    beside = case.decoder.path.with_name("generation_config.json")
    drawn = read_object(beside) if beside.exists() else {}
    yield "do_sample", search["do_sample"], bool(drawn.get("do_sample"))
    if drawn.get("do_sample"):
        for name in _SAMPLER:
            yield name, search.get(name), drawn.get(name, search.get(name))


def _seeing(case: OnnxCase, model: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    """What is said of the models for images, and of how an image is cut."""
    assert case.artifact.images is not None
    yield "image_token_id", model["image_token_id"], case.folder.transformers.image_token_id
    for name, its in (("embedding", case.embedding), ("vision", case.artifact.images)):
        said = model[name]
        yield f"{name}.filename", said["filename"], its.path.name
        yield f"{name}.inputs", said["inputs"], {each: each for each in its.inputs}
        yield f"{name}.outputs", said["outputs"], {each: each for each in its.outputs}
    yield "speech", model["speech"], {"filename": "", "config_filename": ""}
    sizes = case.tower.sizes
    cut = {"patch_size": sizes.patch, "pooling_kernel_size": sizes.kernel, "max_soft_tokens": budget(case)}
    told = read_object(case.decoder.path.with_name(str(model["vision"]["config_filename"])))
    steps = [step["operation"] for step in told["processor"]["transforms"]]
    yield "steps of an image", [step["type"] for step in steps], ["DecodeImage", "Gemma4ImageTransform"]
    yield "patches of an image", [step["attrs"] for step in steps], [{"color_space": "RGB"}, cut]


def _names(said: dict[str, str], owners: int) -> set[str]:
    """Names of inputs or outputs; those of caches stand for one each."""
    return {name % i if "%d" in name else name for name in said.values() for i in range(owners)}
