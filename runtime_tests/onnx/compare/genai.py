"""Rung 0 for ONNX, fourth part: what ``genai_config.json`` tells onnxruntime-genai and the loop of a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime_tests.errors import InputError
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.genai import CONFIG
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
    decoder = model["decoder"]
    yield "bos_token_id", model["bos_token_id"], case.start
    yield "eos_token_id", sorted(model["eos_token_id"]), case.stops
    yield "vocab_size", model["vocab_size"], dims.vocab
    yield "context_length", model["context_length"], case.context
    yield "filename", decoder["filename"], case.text.path.name
    yield "num_hidden_layers", decoder["num_hidden_layers"], len(dims.owners)
    yield "hidden_size", decoder["hidden_size"], dims.hidden
    for side, there in (("inputs", case.text.inputs), ("outputs", case.text.outputs)):
        yield side, sorted(_names(decoder[side], len(dims.owners))), sorted(there)
    yield "max_length", search["max_length"], case.context
    # Caches of sliding layers do not grow by the tokens of a call: a runtime that made room for these would fail.
    yield "past_present_share_buffer", search["past_present_share_buffer"], True
    sliding = [i for i, owner in enumerate(dims.owners) if dims.kinds[owner.layer] == SLIDING]
    window = {"window_size": dims.window, "layers": sliding, "slide_inputs": False, "slide_key_value_cache": False}
    yield "sliding_window", decoder.get("sliding_window"), window if sliding else None
    beside = case.decoder.path.with_name("generation_config.json")
    drawn = read_object(beside) if beside.exists() else {}
    yield "do_sample", search["do_sample"], bool(drawn.get("do_sample"))
    if drawn.get("do_sample"):
        for name in _SAMPLER:
            yield name, search.get(name), drawn.get(name, search.get(name))


def _names(said: dict[str, str], owners: int) -> set[str]:
    """Names of inputs or outputs; those of caches stand for one each."""
    return {name % i if "%d" in name else name for name in said.values() for i in range(owners)}
