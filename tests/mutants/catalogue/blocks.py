"""Faults of the decoder's blocks: norms, attention, MLP, per-layer inputs, logits; for every target, and for rung 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tests.mutants.mutant import Build, Mutant, everywhere
from tests.mutants.wrap import At, wraps

KIND = "blocks"


def _each(name: str, what: str, fault: Any, *expected: str, bed: str = "mobile", but: Any = None) -> Any:
    return everywhere(name, KIND, bed, what, expected or ("1", "2a"), Build(fault), but)


def _renamed(of: str, by: Callable[[str, At], str]) -> dict[str, Any]:
    """Wraps an operation with a key, so that it takes another one's weights."""
    return {of: lambda sound, at, x, key: sound(x, by(key, at))}


def _exchanged(a: str, b: str) -> Callable[[str, At], str]:
    other = {a: b, b: a}

    def by(key: str, at: At) -> str:
        stem, dot, last = key.rpartition(".")
        return stem + dot + other.get(last, last)

    return by


def _unscaled(part: str) -> dict[str, Any]:
    """Leaves a factor out; ``part`` is the end of its key."""
    return {"scale": lambda sound, at, x, key: x if key.endswith(part) else sound(x, key)}


def _norm_of_gemma_1(sound: Any, at: At, x: Any, key: str) -> Any:
    return sound(x, key) + x if key.endswith("norm.weight") else sound(x, key)


def _epsilon(sound: Any, at: At, x: Any, eps: float) -> Any:
    return sound(x, eps if at.behind("v_proj") else 1e-5)


def _keys_norm(key: str, at: At) -> str:
    if not key.endswith("q_norm.weight"):
        return key
    owner = at.config.layers[int(key.split(".")[1])].owner
    return f"layers.{owner}.self_attn.k_norm.weight"


def _not_behind(*linears: str) -> dict[str, Any]:
    """Leaves the normalization out of what comes from a linear."""

    def fault(sound: Any, at: At, x: Any, eps: float) -> Any:
        return x if any(at.behind(linear) for linear in linears) else sound(x, eps)

    return {"normalize": fault}


def _scaled(sound: Any, at: At, query: Any, *rest: Any) -> Any:
    return sound(query * query.shape[-1] ** -0.5, *rest)


def _no_scalar(sound: Any, at: At, x: Any, key: str) -> Any:
    return x * 1.0 if key.endswith("layer_scalar") else sound(x, key)


def _scalar_on_the_branch(sound: Any, at: At, x: Any, key: str) -> Any:
    if key.endswith("layer_scalar"):
        return x
    branch = key.endswith("post_per_layer_input_norm.weight")
    return sound(sound(x, key), f"layers.{key.split('.')[1]}.layer_scalar") if branch else sound(x, key)


def _exact(behind: str) -> Any:
    def fault(sound: Any, at: At, x: Any, approximate: str = "none") -> Any:
        return sound(x, approximate="none" if at.behind(behind) else approximate)

    return wraps(gelu=fault)


def _no_mlp(sound: Any, at: At, x: Any, key: str) -> Any:
    out = sound(x, key)
    return out * 0.0 if key == "layers.2.post_feedforward_layernorm.weight" and not at.layer["logits"] else out


def _added(sound: Any, at: At, embeddings: Any, table: Any) -> Any:
    return sound(embeddings, table) * 2.0**0.5


def _of_the_next(sound: Any, at: At, both: Any) -> Any:
    return sound(torch.cat([both.narrow(2, 1, both.shape[2] - 1), both.narrow(2, 0, 1)], dim=2))


def _ungated(sound: Any, at: At, x: Any, key: str) -> Any:
    given = key.endswith("per_layer_projection")
    return sound(at.layer["per_layer"][at.layer["layer"].index] if given else x, key)


def _softcap(value: float | None) -> Any:
    return wraps(config=lambda config: replace(config, softcap=value))


GELU_EXACT = _exact("gate_proj")
GATE_EXACT = _exact("per_layer_input_gate")
LAST = {"scale": lambda sound, at, x, key: x if key == "norm.weight" else sound(x, key)}

MUTANTS: tuple[Mutant, ...] = (
    *_each("softcap_left_out", "logits are not capped", _softcap(None)),
    *_each("softcap_of_gemma_2", "the cap of attention scores on logits", _softcap(50.0)),
    *_each("norms_multiply_by_one_plus_w", "the norm of Gemma 1 to 3", wraps(scale=_norm_of_gemma_1)),
    *_each(
        "norm_epsilon",
        "1e-5 added to mean squares instead of config.json's",
        wraps(normalize=_epsilon),
        "1",  # static activations swallow most of it: 2a sees 0.15 % of the outputs change, hardly over its bar
    ),
    *_each(
        "norm_epsilon_q4_0",
        "the same in a model without static activations",
        wraps(normalize=_epsilon),
        bed="q4_0",
    ),
    *_each(
        "queries_normed_as_keys",
        "q_norm's weight is k_norm's",
        wraps(**_renamed("scale", _keys_norm)),
        "0",
        "1",
        "2a",
    ),
    *_each("values_not_normed", "v goes into the cache without its norm", wraps(**_not_behind("v_proj"))),
    *_each(
        "values_from_keys",
        "v_proj is k_proj",
        wraps(**_renamed("linear", lambda key, at: key.replace("v_proj", "k_proj"))),
        "0",
        "1",
        "2a",
        but={"coreml": ()},  # no weight is there twice under one name: see the next one
    ),
    *_each(
        "keys_and_values_exchanged",
        "v_proj is k_proj and the reverse",
        wraps(**_renamed("linear", _exchanged("k_proj", "v_proj"))),
        "2a",
    ),
    *_each("attention_scaled", "scores divided by the root of the head size", wraps(attention=_scaled)),
    *_each("residual_scalar_left_out", "layer_scalar is not used", wraps(scale=_no_scalar), "0", "1", "2a"),
    *_each(
        "residual_scalar_on_the_branch",
        "layer_scalar multiplies the last branch and not the residual",
        wraps(scale=_scalar_on_the_branch),
    ),
    *_each("gelu_exact", "erf instead of tanh in the MLP", GELU_EXACT),
    *_each("gelu_exact_q4_0", "the same in a model without static activations", GELU_EXACT, bed="q4_0"),
    *_each(
        "gelu_exact_in_the_gate",
        "erf instead of tanh in the per-layer gate",
        GATE_EXACT,
        "1",  # the gate's int8 outputs hardly move: 2a stays under its bar here, and sees it without them (next one)
    ),
    *_each("gelu_exact_in_the_gate_q4_0", "the same in a model without static activations", GATE_EXACT, bed="q4_0"),
    *_each(
        "gate_and_up_swapped",
        "gelu on the other half of the MLP",
        wraps(**_renamed("linear", _exchanged("gate_proj", "up_proj"))),
    ),
    *_each("prefill_without_an_mlp", "prefill leaves out the MLP of layer 2", wraps(scale=_no_mlp), "2a"),
    *_each(
        "per_layer_inputs_added",
        "the two halves are added without their factor",
        wraps(per_layer_inputs=_added),
        "2a",  # a norm follows the branch: without rounding nothing else would change
    ),
    *_each(
        "per_layer_projection_not_normed",
        "the projection of the embedding goes in as it is",
        wraps(**_not_behind("per_layer_model_projection"), **_unscaled("per_layer_projection_norm.weight")),
        "0",
        "1",
        "2a",
    ),
    *_each("per_layer_input_of_the_next_layer", "each layer gets its neighbour's slice", wraps(by_layer=_of_the_next)),
    *_each("per_layer_gate_left_out", "the per-layer input is not gated", wraps(linear=_ungated)),
    *_each("final_norm_without_weight", "the last norm is not multiplied", wraps(**LAST), "0", "1", "2a"),
    *_each(
        "norms_exchanged",
        "the MLP's output is normed by the attention's weight",
        wraps(
            **_renamed("scale", lambda key, at: key.replace("post_feedforward_layernorm", "post_attention_layernorm"))
        ),
        "0",
        "1",
        "2a",
    ),
)
