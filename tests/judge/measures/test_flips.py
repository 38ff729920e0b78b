"""A difference of more than a step is a fault, save where what feeds a linear flipped at the same token."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_tests.measures.flips import farthest

SAME = np.zeros((4, 6), np.int32)


def off(*places: tuple[int, int, int]) -> np.ndarray:
    """Codes that differ: token, output, steps."""
    out = SAME.copy()
    for token, output, steps in places:
        out[token, output] = steps
    return out


@pytest.mark.parametrize("style", ["layers.3.{}", "layers_3_{}_codes"])
@pytest.mark.parametrize(
    ("feeder", "fed"),
    [
        ("mlp.gate_proj", "mlp.down_proj"),
        ("mlp.up_proj", "mlp.down_proj"),
        ("self_attn.q_proj", "self_attn.o_proj"),
        ("per_layer_input_gate", "per_layer_projection"),
    ],
)
@pytest.mark.parametrize(
    ("flips", "steps", "expected"),
    [
        ((), 1, 1),
        ((), 2, 2),  # nothing before it differs
        (((0, 1, 1),), 2, 2),  # at another token
        (((2, 1, 1),), 2, 1),
        (((2, 1, 1),), 3, 1),
        (((2, 1, 1),), 4, 2),  # more than a flip carries
        (((2, 1, -1),), -9, 7),
    ],
)
def test_only_a_flip_at_the_same_token_excuses_two_steps_more(
    style: str, feeder: str, fed: str, flips: tuple[tuple[int, int, int], ...], steps: int, expected: int
) -> None:
    names = [style.format(name if "." in style else name.replace(".", "_")) for name in (feeder, fed)]
    found = farthest({names[0]: (SAME, off(*flips)), names[1]: (SAME, off((2, 5, steps)))})
    assert found[names[1]] == expected


def test_a_linear_that_is_fed_by_the_block_s_input_is_excused_by_nothing() -> None:
    found = farthest({"layers.0.mlp.gate_proj": (SAME, off((1, 1, 2))), "layers.0.mlp.up_proj": (SAME, off((1, 1, 1)))})
    assert found == {"layers.0.mlp.gate_proj": 2, "layers.0.mlp.up_proj": 1}
    # Another layer's flips reach nothing here, for each layer is compared on the reference's inputs.
    apart = farthest(
        {"layers.0.mlp.gate_proj": (SAME, off((1, 1, 1))), "layers.1.mlp.down_proj": (SAME, off((1, 1, 2)))}
    )
    assert apart["layers.1.mlp.down_proj"] == 2
