"""Faults in what a bundle's manifest says of feeding its model: rung 0 compares, and rung 2a feeds the model by it.

Those of positions and windows have the names of the decoder's: where a graph makes rotary rows and masks itself, they
are faults of an operation there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convert.checkpoint.config import FULL, SLIDING
from tests.mutants.catalogue.bundle import manifest
from tests.mutants.mutant import REFUSED, Mutant, Repack

KIND, TARGET = "feeding", "coreml"
Change = Callable[[dict[str, Any]], None]


def _calls(change: Change) -> Change:
    return lambda feeding: change(feeding["calls"])


def _types(change: Change) -> Change:
    return _calls(lambda calls: change(calls["layer_types"]))


def _window(by: int) -> Change:
    def change(types: dict[str, Any]) -> None:
        types[SLIDING]["window"] += by

    return _types(change)


def _no_window(types: dict[str, Any]) -> None:
    types[SLIDING]["window"] = None


def _window_everywhere(types: dict[str, Any]) -> None:
    types[FULL]["window"] = types[SLIDING]["window"]


def _thetas_swapped(types: dict[str, Any]) -> None:
    a, b = (types[kind]["rotary"] for kind in (SLIDING, FULL))
    a["theta"], b["theta"] = b["theta"], a["theta"]


def _rotary(of: str, **fields: Any) -> Change:
    return _types(lambda types: types[of]["rotary"].update(fields))


def _all_pairs(types: dict[str, Any]) -> None:
    rotary = types[FULL]["rotary"]
    rotary["turning"] = rotary["head_dim"] // 2


def _spaced_as_usual(types: dict[str, Any]) -> None:
    """Exponents over the rotated part: what a head of that size would have."""
    rotary = types[FULL]["rotary"]
    rotary["head_dim"] = 2 * rotary["turning"]


def _ring(**fields: Any) -> Change:
    return _types(lambda types: types[SLIDING]["ring"].update(fields))


def _no_ring(types: dict[str, Any]) -> None:
    types[SLIDING]["ring"] = None


def _mask(**fields: float) -> Change:
    return _calls(lambda calls: calls["mask"].update(fields))


def _chunks(**fields: Any) -> Change:
    return _calls(lambda calls: calls["chunks"].update(fields))


def _lengths_swapped(calls: dict[str, Any]) -> None:
    a, b = calls["chunks"]["lengths"]
    a["function"], b["function"] = b["function"], a["function"]


def _inputs_swapped(a: str, b: str) -> Change:
    """Two inputs under each other's name."""

    def change(calls: dict[str, Any]) -> None:
        for one in calls["inputs"]:
            one["name"] = {a: b, b: a}.get(one["name"], one["name"])

    return _calls(change)


def _states_swapped(calls: dict[str, Any]) -> None:
    for state in calls["parts"][0]["states"]:
        state["holds"] = {"keys": "values", "values": "keys"}[state["holds"]]


def _layers_reversed(calls: dict[str, Any]) -> None:
    for state in calls["parts"][0]["states"]:
        state["layers"].reverse()


def _table(**fields: Any) -> Change:
    return _calls(lambda calls: calls["tables"]["embed_tokens"].update(fields))


def _tables_swapped(calls: dict[str, Any]) -> None:
    a, b = calls["tables"].values()
    a["file"], b["file"] = b["file"], a["file"]


def _start(feeding: dict[str, Any]) -> None:
    feeding["tokens"]["start"] = {"id": 1, "text": "<eos>"}


def _stop_lost(feeding: dict[str, Any]) -> None:
    feeding["tokens"]["stops"].pop()


def _role(feeding: dict[str, Any]) -> None:
    roles = feeding["tokens"]["roles"]
    first, second = list(roles)[:2]
    roles[first], roles[second] = roles[second], roles[first]


def _mutant(name: str, what: str, change: Change, *expected: str) -> Mutant:
    fault = Repack(manifest(lambda content: change(content["feeding"])))
    return Mutant(name, KIND, "mobile", what, expected or ("0",), fault, TARGET)


MUTANTS = (
    _mutant("window_one_too_long", "a sliding layer sees one token more", _window(1), "0", "2a"),
    _mutant("window_one_too_short", "a sliding layer sees one token less", _window(-1), "0", "2a"),
    _mutant("no_window", "sliding layers have no window", _types(_no_window), "0", "2a"),
    _mutant("window_of_full_layers_said", "full layers have a window", _types(_window_everywhere)),
    _mutant(
        "rope_thetas_swapped",
        "full layers turn by the sliding layers' base and the reverse",
        _types(_thetas_swapped),
        "0",
        "2a",
    ),
    _mutant("theta_off_by_a_little", "the base of full layers is 0.1 % smaller", _rotary(FULL, theta=999_000.0)),
    _mutant("partial_rotary_ignored", "all pairs of full layers turn", _types(_all_pairs), "0", "2a"),
    _mutant("partial_rotary_spaced_as_usual", "exponents spaced over the rotated part", _types(_spaced_as_usual), "0"),
    _mutant(
        "rotary_of_another_kind", "the rotary embedding of full layers is called default", _rotary(FULL, kind="default")
    ),
    _mutant("layout_of_pairs", "pairs lie side by side", _rotary(FULL, layout="interleaved"), REFUSED),
    _mutant("mask_hides_too_little", "hidden tokens weigh a little", _mask(hidden=-5.0), "0", "2a"),
    _mutant("mask_beyond_float16", "a number in the mask that float16 does not have", _mask(hidden=-1e9)),
    _mutant("mask_of_visible_tokens", "what a token may see is not zero in the mask", _mask(visible=1.0)),
    _mutant(
        "mask_rule",
        "the mask lets every token see every other",
        _calls(lambda c: c["mask"].update(rule="all")),
        REFUSED,
    ),
    _mutant("prefill_lengths_swapped", "each prefill function with the other's length", _calls(_lengths_swapped)),
    _mutant("context_promised", "more positions than the cache has", _chunks(context=512)),
    _mutant("chunk_rule", "a prompt begins with the shortest chunk", _chunks(whole="shortest"), REFUSED),
    _mutant("rest_rule", "the rest of a prompt goes token by token", _chunks(rest="decode"), REFUSED),
    _mutant("end_rule", "a last chunk may reach past the end", _chunks(past_end="cut"), REFUSED),
    _mutant("last_token_rule", "the last token is prefilled too", _chunks(last_token="prefill"), REFUSED),
    _mutant(
        "padding_rule",
        "a chunk is padded with the last row",
        _chunks(padding={"embeddings": "repeat", "positions": "continue"}),
        REFUSED,
    ),
    _mutant(
        "sines_said_to_be_cosines",
        "cosines and sines under each other's name",
        _inputs_swapped("cos_sliding", "sin_sliding"),
        "0",
        "2a",
    ),
    _mutant(
        "masks_said_the_other_way",
        "the masks under each other's name",
        _inputs_swapped("mask_sliding", "mask_full"),
    ),
    _mutant("ring_said_too_short", "positions come round half-way through the ring", _ring(rows=32)),
    _mutant("ring_said_too_long", "a ring of more rows than there are", _ring(rows=96)),
    _mutant("ring_unsaid", "sliding layers are said to keep all positions", _types(_no_ring)),
    _mutant("ring_rule", "the ring is looked at after the write", _ring(rule="after_the_call"), REFUSED),
    _mutant("states_said_the_other_way", "keys are called values", _calls(_states_swapped)),
    _mutant("layers_of_a_state_reversed", "a state's layers in the wrong order", _calls(_layers_reversed)),
    _mutant("multiplier_said", "another factor of the embedding", _table(multiplier=1.0)),
    _mutant("offset_of_rows_said", "rows begin a page later", _table(rows_offset=8192)),
    _mutant("file_of_a_table_said", "each table's file is the other's", _calls(_tables_swapped)),
    _mutant("start_token_said", "a conversation begins with eos", _start),
    _mutant("stop_token_unsaid", "the last stop token is not named", _stop_lost),
    _mutant("roles_exchanged", "two tokens have each other's role", _role),
    _mutant("top_k_said", "another top_k", lambda f: f["sampler"].update(top_k=1)),
    _mutant("feeding_unsaid", "the manifest does not say how the model is fed", lambda f: f.clear(), REFUSED),
    _mutant("calls_unsaid", "it does not say what a call takes", lambda f: f.update(calls=None), REFUSED),
    _mutant("rule_that_nobody_knows", "one field more than there is", _calls(lambda c: c.update(extra=1)), REFUSED),
)
