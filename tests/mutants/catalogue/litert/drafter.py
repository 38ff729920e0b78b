"""Faults of the drafter, of the signature that verifies its drafts, and of what the decoder gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from convert.checkpoint.modules.drafter import ORDERING
from convert.targets.litert.options import DRAFTS
from runtime_tests.litert.case import DRAFTER
from tests.mutants.mutant import Build, Edit, Mutant
from tests.mutants.patient import Patient
from tests.mutants.wrap import Inject, together, wrapped

KIND = "drafter"
LATTICE, GROUPS = "drafter", "drafter with groups"  # beds
MODEL, DECODER = "convert.model.drafter.Drafter", "convert.model.decoder.Decoder"
PACKAGE = "convert.targets.litert"
OPS = f"{PACKAGE}.ops.LitertOps"
CODES = "layers.2.mlp.down_proj.weight"


def _called(change: Callable[..., tuple[Any, Any, Any, Any]]) -> Inject:
    """``change`` gets the drafter's activations, position, masks and caches, and gives others."""
    return wrapped(f"{MODEL}.__call__", lambda sound, itself, *given: sound(itself, *change(*given)))


def _window(change: int) -> Inject:
    def start(sound: Any, itself: Any, config: Any, *rest: Any) -> None:
        text = replace(config.text, window=config.text.window + change)
        sound(itself, replace(config, text=text), *rest)

    return wrapped(f"{MODEL}.__init__", start)


def _exchanged(activations: Any, *rest: Any) -> tuple[Any, ...]:
    return (torch.cat(activations.chunk(2, dim=2)[::-1], dim=2), *rest)


def _layer_before(sound: Any, config: Any, owners: list[int], *rest: Any) -> Any:
    """Of two layers of a kind the first, whose cache has the same shape."""
    sliding, full = owners
    signature, names = sound(config, [sliding - 1, full], *rest)
    return signature, {sliding: names[sliding - 1], full: names[full]}


def _drafts_alone(decoder: Any) -> bool:
    """Whether a decoder is the drafter's, which owns no keys and values."""
    return not decoder.config.owners


UNNORMED = together(
    wrapped(f"{DECODER}.last", lambda sound, itself, x: sound(itself, x) if _drafts_alone(itself) else x * 1.0),
    wrapped(
        f"{DECODER}.head",
        lambda sound, itself, last: sound(itself, last if _drafts_alone(itself) else itself._norm(last, "norm")),
    ),
)


class _Stream:
    """The drafter's residual stream, handed on as the state for its next draft before it is normed."""

    def __init__(self) -> None:
        self.held: Any = None

    def last(self, sound: Any, decoder: Any, x: Any) -> Any:
        self.held = x
        return sound(decoder, x)

    def linear(self, sound: Any, ops: Any, x: Any, key: str) -> Any:
        return sound(ops, self.held if key == "post_projection" else x, key)


def _last_is_padding(sound: Any, ring: Any, graph: Any, rows: int, positions: Any) -> None:
    if positions.shape[0] == DRAFTS + 1:
        positions = positions * np.array([1] * DRAFTS + [0], np.int32)
    sound(ring, graph, rows, positions)


def _last_left_out(sound: Any, ops: Any, cache: Any, rows: Any, position: Any, axis: int, owner: int, part: str) -> Any:
    whole = ops._module.config.layers[owner].kind not in ops._rings()
    if whole and rows.shape[axis] == DRAFTS + 1:
        rows = rows.narrow(axis, 0, DRAFTS)
    return sound(ops, cache, rows, position, axis=axis, owner=owner, part=part)


def _one_row_late(sound: Any, decoder: Any, last: Any) -> Any:
    logits, count = sound(decoder, last), last.shape[1]
    if count == 1:
        return logits
    return torch.cat([logits.narrow(1, 0, 1), logits.narrow(1, 0, count - 1)], dim=1)


def _another_module(change: Callable[[Any], Any]) -> Inject:
    """Groups and tokens are looked up in another module than the drafter's."""
    return wrapped(f"{PACKAGE}.ordered.head", lambda sound, graph, module, *rest: sound(graph, change(module), *rest))


def _tokens_of_the_next(module: Any) -> Any:
    return replace(module, indices={name: np.roll(found, -1) for name, found in module.indices.items()})


def _one_group_fewer(module: Any) -> Any:
    groups = module.config.groups
    return replace(module, config=replace(module.config, groups=replace(groups, taken=groups.taken - 1)))


class _AboveAll:
    """In the head by groups what stands for the tokens that are not scored is above the best score."""

    def __init__(self) -> None:
        self.inside = False

    def head(self, sound: Any, *given: Any) -> Any:
        self.inside = True
        try:
            return sound(*given)
        finally:
            self.inside = False

    def reduce(self, sound: Any, x: Any, kind: str, *rest: Any) -> Any:
        if self.inside and kind == "min":
            return sound(x, "max", *rest) + 2.0
        return sound(x, kind, *rest)


def _bit(name: str, at: int) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        patient.array(name, DRAFTER)[at] ^= 1

    return apply


def _ordering_shifted(patient: Patient) -> None:
    tokens = patient.array(ORDERING, DRAFTER).view(np.int32)
    tokens[:] = np.roll(tokens, 1)


def _build(name: str, what: str, fault: Inject, *expected: str, bed: str = LATTICE) -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("2a",), Build(fault))


def _edit(name: str, what: str, change: Callable[[Patient], None], *expected: str, bed: str = LATTICE) -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("0",), Edit(change))


STREAM, ABOVE_ALL = _Stream(), _AboveAll()
MUTANTS = (
    _build(
        "drafter_one_position_early",
        "the drafter takes the last cached position for the last token's",
        _called(lambda activations, position, *rest: (activations, position - 1, *rest)),
    ),
    _build(
        "drafter_one_position_late",
        "the drafter turns its queries one position too far",
        _called(lambda activations, position, *rest: (activations, position + 1, *rest)),
    ),
    _build("drafter_window_one_too_long", "the drafter's sliding layers see one token more", _window(1)),
    _build("drafter_window_one_too_short", "the drafter's sliding layers see one token less", _window(-1)),
    _build(
        "drafter_ignores_the_mask",
        "the drafter sees every row of the caches, stale ones too",
        _called(lambda a, p, masks, caches: (a, p, {kind: mask * 0.0 for kind, mask in masks.items()}, caches)),
    ),
    _build("drafter_halves_exchanged", "the drafter takes the hidden state for the embedding", _called(_exchanged)),
    _build(
        "drafter_reads_the_layer_before",
        "the drafter is lent the cache of the sliding layer before the last",
        wrapped(f"{PACKAGE}.signature.drafter_signature", _layer_before),
        "0",
        "2a",
    ),
    _build(
        "draft_handed_on_before_the_norm",
        "the state for the next draft is projected from the residual stream",
        together(wrapped(f"{DECODER}.last", STREAM.last), wrapped(f"{OPS}.linear", STREAM.linear)),
    ),
    _build("activations_before_the_norm", "the decoder gives the drafter its residual stream", UNNORMED),
    _build(
        "verify_last_row_not_in_the_ring",
        "verify takes its last token for padding: no ring keeps its row",
        wrapped(f"{PACKAGE}.ring.Ring.__init__", _last_is_padding),
    ),
    _build(
        "verify_last_row_not_written",
        "verify does not write its last row into full layers' caches",
        wrapped(f"{OPS}.write_cache", _last_left_out),
    ),
    _build(
        "verify_logits_one_row_late",
        "verify gives each token the logits of the one before",
        wrapped(f"{DECODER}.head", _one_row_late),
        "2a",
        "3",
    ),
    _edit("drafter_code_off_by_one", "one code of the drafter is one too high or too low", _bit(CODES, 17)),
    _edit("drafter_block_scale_one_ulp", "one block scale of the drafter moved by one ulp", _bit(f"{CODES}_scale", 6)),
    _edit("drafter_norm_one_ulp", "one weight of a drafter's norm moved by one ulp", _bit("norm.weight", 8)),
    _edit(
        "groups_shifted_by_a_token",
        "each group of the drafter's head has lost a token to the next",
        _ordering_shifted,
        "0",
        "2a",
        bed=GROUPS,
    ),
    _edit("drafter_row_of_the_head", "one bit of the drafter's bfloat16 head", _bit("lm_head.weight", 10), bed=GROUPS),
    _build(
        "groups_of_the_next_tokens",
        "the head looks up its groups one token on",
        _another_module(_tokens_of_the_next),
        "0",
        "2a",
        bed=GROUPS,
    ),
    _build("one_group_fewer", "one group of tokens fewer is scored", _another_module(_one_group_fewer), bed=GROUPS),
    _build(
        "groups_least_likely",
        "the groups that are met worst are scored",
        wrapped(f"{PACKAGE}.ordered._likeliest", lambda sound, scores, count: sound(scores * -1.0, count)),
        bed=GROUPS,
    ),
    _build(
        "tokens_not_scored_win",
        "tokens outside the scored groups get more than the best of these",
        together(
            wrapped(f"{PACKAGE}.ordered.head", ABOVE_ALL.head),
            wrapped("convert.model.symbol.Symbol.reduce", ABOVE_ALL.reduce),
        ),
        bed=GROUPS,
    ),
)
