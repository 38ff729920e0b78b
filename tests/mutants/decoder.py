"""Faults in the decoder's mathematics. They reach the artifact, which rung 2a judges, and the eager form of rung 1."""

from __future__ import annotations

from tests.mutants.mutant import Build, Mutant
from tests.mutants.source import reads

KIND = "decoder"
FILE, ROPE = "model.decoder", "model.rope"
ANGLES = "angles(input_pos, frequencies)"
WINDOWED = "masks[SLIDING] = mask + outside"
SPREAD = "masks = dict.fromkeys(kinds, mask)"
GATE = """gate = F.gelu(self.ops.linear(normed, f"{prefix}.mlp.gate_proj"), approximate="tanh")
        down = self.ops.linear(gate * self.ops.linear(normed, f"{prefix}.mlp.up_proj"), f"{prefix}.mlp.down_proj")"""
SCALAR = """            x = x + self._per_layer_input(x, layer, per_layer[layer.index])
        x = self.ops.scale(x, f"layers.{layer.index}.layer_scalar")"""


def _mutant(name: str, what: str, old: str, new: str, *expected: str, file: str = FILE, bed: str = "mobile") -> Mutant:
    return Mutant(name, KIND, bed, what, expected or ("1", "2a"), Build(reads((file, old, new))))


MUTANTS = (
    # Attention scores know differences of positions only: every logit stays, but the cache holds other keys.
    _mutant("rope_position_off_by_one", "positions count from one", ANGLES, "angles(input_pos + 1, frequencies)", "2a"),
    _mutant(
        "rope_position_off_in_decode",
        "positions off by one where one token is run",
        ANGLES,
        "angles(input_pos + (1 if embeddings.shape[1] == 1 else 0), frequencies)",
    ),
    _mutant(
        "rope_restarts_in_every_chunk",
        "positions counted from the chunk's first token",
        ANGLES,
        "angles(input_pos - input_pos[0], frequencies)",
    ),
    _mutant(
        "rope_thetas_swapped",
        "full layers turn by the sliding layers' base and the reverse",
        "inverse_frequencies(config.ropes[kind], dim)",
        "inverse_frequencies(dict(zip(config.ropes, reversed(config.ropes.values())))[kind], dim)",
    ),
    _mutant(
        "partial_rotary_ignored",
        "all pairs of full layers turn",
        'int(rope.partial * head_dim // 2) if rope.kind == "proportional" else head_dim // 2',
        "head_dim // 2",
        file=ROPE,
    ),
    _mutant(
        "partial_rotary_spaced_as_usual",
        "exponents spaced over the rotated part",
        ".float() / head_dim",
        ".float() / (2 * turning)",
        file=ROPE,
    ),
    _mutant(
        "rope_sine_sign",
        "half of each pair turns backwards",
        "first * cos - second * sin",
        "first * cos + second * sin",
        file=ROPE,
    ),
    _mutant(
        "queries_not_rotated",
        "only keys are turned",
        'rotate(self._norm(query, f"{prefix}.q_norm"), *turn)',
        'self._norm(query, f"{prefix}.q_norm")',
    ),
    _mutant(
        "mask_one_too_far",
        "a token sees the one after it",
        SPREAD,
        "mask = torch.cat([mask.narrow(3, 0, 1), mask.narrow(3, 0, mask.shape[3] - 1)], dim=3)\n        " + SPREAD,
    ),
    _mutant(
        "mask_one_too_short",
        "a token does not see itself",
        SPREAD,
        "mask, last = mask.narrow(3, 1, mask.shape[3] - 1), mask.narrow(3, mask.shape[3] - 1, 1)\n        "
        "mask = torch.cat([mask, last], dim=3)\n        " + SPREAD,
    ),
    _mutant(
        "decode_ignores_the_mask",
        "one token alone sees every row of the cache, stale ones too",
        SPREAD,
        "mask = mask * 0.0 if mask.shape[2] == 1 else mask\n        " + SPREAD,
    ),
    _mutant(
        "window_one_too_long", "a sliding layer sees one token more", "(self.config.window - 1)", "self.config.window"
    ),
    _mutant(
        "window_one_too_short",
        "a sliding layer sees one token less",
        "(self.config.window - 1)",
        "(self.config.window - 2)",
    ),
    _mutant("window_ignored", "sliding layers see everything", WINDOWED, "masks[SLIDING] = mask"),
    _mutant("window_everywhere", "full layers slide as well", WINDOWED, "masks = dict.fromkeys(kinds, mask + outside)"),
    _mutant(
        "window_of_the_chunk",
        "the window of a whole chunk is that of its first token",
        "oldest = input_pos.reshape(1, 1, -1, 1)",
        "oldest = input_pos[0].reshape(1, 1, 1, 1)",
        "2a",  # rung 1 prefills less than a window
    ),
    _mutant("softcap_left_out", "logits are not capped", "if self.config.softcap is not None:", "if False:"),
    _mutant("softcap_of_gemma_2", "the cap of attention scores on logits", "* self.config.softcap", "* 50.0"),
    _mutant(
        "norms_multiply_by_one_plus_w",
        "the norm of Gemma 1 to 3",
        'return self.ops.scale(self.ops.normalize(x, self.config.norm_eps), f"{key}.weight")',
        'n = self.ops.normalize(x, self.config.norm_eps)\n        return self.ops.scale(n, f"{key}.weight") + n',
    ),
    _mutant(
        "norm_epsilon",
        "1e-5 added to mean squares instead of config.json's",
        'self.ops.normalize(x, self.config.norm_eps), f"{key}.weight")',
        'self.ops.normalize(x, 1e-5), f"{key}.weight")',
        "1",  # static activations swallow most of it: 2a sees 0.15 % of the outputs change, hardly over its bar
    ),
    _mutant(
        "norm_epsilon_q4_0",
        "the same in a model without static activations",
        'self.ops.normalize(x, self.config.norm_eps), f"{key}.weight")',
        'self.ops.normalize(x, 1e-5), f"{key}.weight")',
        bed="q4_0",
    ),
    _mutant(
        "queries_normed_as_keys",
        "q_norm's weight is k_norm's",
        'f"{prefix}.q_norm"',
        'f"layers.{layer.owner}.self_attn.k_norm"',
        "0",
        "1",
        "2a",
    ),
    _mutant(
        "values_not_normed",
        "v goes into the cache without its norm",
        'values = self.ops.normalize(self.ops.linear(normed, f"{prefix}.v_proj").reshape(shape), self.config.norm_eps)',
        'values = self.ops.linear(normed, f"{prefix}.v_proj").reshape(shape)',
    ),
    _mutant(
        "values_from_keys",
        "v_proj is k_proj",
        'self.ops.linear(normed, f"{prefix}.v_proj")',
        'self.ops.linear(normed, f"{prefix}.k_proj")',
        "0",
        "1",
        "2a",
    ),
    _mutant(
        "attention_scaled",
        "scores divided by the root of the head size",
        'self.ops.read_cache(cache[0], layer.owner, "key"))',
        'self.ops.read_cache(cache[0], layer.owner, "key")) * layer.head_dim**-0.5',
    ),
    _mutant(
        "wrong_owner",
        "shared sliding layers read the owner before theirs",
        "masks[layer.kind], written[layer.owner])",
        "masks[layer.kind], written[layer.owner - (layer.kind == SLIDING and not layer.owns_kv)])",
    ),
    _mutant(
        "cache_written_one_late",
        "new keys and values go one row too far",
        "start = input_pos[0]",
        "start = input_pos[0] + 1",
    ),
    _mutant(
        "residual_scalar_left_out",
        "layer_scalar is not used",
        'x = self.ops.scale(x, f"layers.{layer.index}.layer_scalar")',
        "x = x * 1.0",
        "0",
        "1",
        "2a",
    ),
    _mutant(
        "residual_scalar_on_the_branch",
        "layer_scalar multiplies the last branch and not the residual",
        SCALAR,
        """            x = x + self.ops.scale(
                self._per_layer_input(x, layer, per_layer[layer.index]), f"layers.{layer.index}.layer_scalar"
            )""",
    ),
    _mutant("gelu_exact", "erf instead of tanh in the MLP", 'gate_proj"), approximate="tanh")', 'gate_proj"))'),
    _mutant(
        "gelu_exact_q4_0",
        "the same in a model without static activations",
        'gate_proj"), approximate="tanh")',
        'gate_proj"))',
        bed="q4_0",
    ),
    _mutant(
        "gelu_exact_in_the_gate",
        "erf instead of tanh in the per-layer gate",
        'per_layer_input_gate"), approximate="tanh")',
        'per_layer_input_gate"))',
        "1",  # the gate's int8 outputs hardly move: 2a stays under its bar here, and sees it without them (next one)
    ),
    _mutant(
        "gelu_exact_in_the_gate_q4_0",
        "the same in a model without static activations",
        'per_layer_input_gate"), approximate="tanh")',
        'per_layer_input_gate"))',
        bed="q4_0",
    ),
    _mutant(
        "gate_and_up_swapped",
        "gelu on the other half of the MLP",
        GATE,
        GATE.replace("gate_proj", "?").replace("up_proj", "gate_proj").replace("?", "up_proj"),
    ),
    _mutant(
        "per_layer_inputs_added",
        "the two halves are added without their factor",
        "(projected + table) * 2.0**-0.5",
        "projected + table",
        "2a",  # a norm follows the branch: without rounding nothing else would change
    ),
    _mutant(
        "per_layer_projection_not_normed",
        "the projection of the embedding goes in as it is",
        'projected = self._norm(projected.reshape(table.shape), "per_layer_projection_norm")',
        "projected = projected.reshape(table.shape)",
        "0",
        "1",
        "2a",
    ),
    _mutant(
        "per_layer_input_of_the_next_layer",
        "each layer gets its neighbour's slice",
        "both[:, :, layer.index, :]",
        "both[:, :, (layer.index + 1) % len(self.config.layers), :]",
    ),
    _mutant(
        "per_layer_gate_left_out",
        "the per-layer input is not gated",
        "self.ops.linear(gate * given,",
        "self.ops.linear(given,",
    ),
    _mutant(
        "final_norm_without_weight",
        "the last norm is not multiplied",
        'self._norm(x, "norm")',
        "self.ops.normalize(x, self.config.norm_eps)",
        "0",
        "1",
        "2a",
    ),
    _mutant(
        "norms_exchanged",
        "the MLP's output is normed by the attention's weight",
        "post_feedforward_layernorm",
        "post_attention_layernorm",
        "0",
        "1",
        "2a",
    ),
)
