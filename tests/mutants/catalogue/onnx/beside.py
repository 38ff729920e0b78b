"""Faults in what lies beside ONNX models: what onnxruntime-genai, the loop and an app read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mutants.catalogue import companions
from tests.mutants.catalogue.companions import Change, edited
from tests.mutants.mutant import REFUSED, Edit, Mutant

KIND, TARGET = "beside", "onnx"
GENAI = "genai_config.json"


def _genai(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Change:
    """``change`` gets what is said of the model and of the search."""
    return edited(GENAI, lambda content: change(content["model"], content["search"]))


def _mutant(name: str, what: str, change: Change, *expected: str) -> Mutant:
    return Mutant(name, KIND, "mobile", what, expected or ("0",), Edit(change), TARGET)


MUTANTS = (
    *companions.mutants(_mutant),
    _mutant("genai_stop_lost", "the runtime is not told of a stop", _genai(lambda m, s: m["eos_token_id"].pop())),
    _mutant("genai_start", "another start token", _genai(lambda m, s: m.update(bos_token_id=1))),
    _mutant("genai_context", "a longer context than was built", _genai(lambda m, s: m.update(context_length=4096))),
    _mutant("genai_vocabulary", "one token less", _genai(lambda m, s: m.update(vocab_size=m["vocab_size"] - 1))),
    _mutant("genai_top_p", "another share of the tokens", _genai(lambda m, s: s.update(top_p=0.5))),
    _mutant("genai_length", "answers end later", _genai(lambda m, s: s.update(max_length=s["max_length"] + 1))),
    _mutant(
        "genai_cache_name",
        "caches are called otherwise",
        _genai(lambda m, s: m["decoder"]["inputs"].update(past_key_names="past.%d.key")),
    ),
    _mutant("genai_layers", "one cache less", _genai(lambda m, s: m["decoder"].update(num_hidden_layers=1))),
    _mutant("genai_no_window", "every cache is as long", _genai(lambda m, s: m["decoder"].pop("sliding_window"))),
    _mutant(
        "genai_window_of_another_layer",
        "a full layer's cache is as short as a window",
        _genai(lambda m, s: m["decoder"]["sliding_window"]["layers"].__setitem__(0, 4)),
    ),
    _mutant(
        "genai_caches_grow",
        "room is made for the tokens of a call in every cache",
        _genai(lambda m, s: s.update(past_present_share_buffer=False)),
    ),
    _mutant("genai_model_name", "another decoder", _genai(lambda m, s: m["decoder"].update(filename="other.onnx"))),
    _mutant("embedding_gone", "no embedding model", lambda patient: patient.beside.unlink(), REFUSED),
)
