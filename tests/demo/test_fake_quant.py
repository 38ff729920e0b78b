"""Rounding with straight-through gradients, as the demo is trained with."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from convert.checkpoint.recover import recover  # noqa: E402
from convert.demo.train import fake_quant as fq  # noqa: E402
from convert.demo.writing import bfloat16  # noqa: E402


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("groups", [1, 4])
def test_rounded_weights_are_codes_times_steps_bit_for_bit(bits: int, groups: int) -> None:
    weight = torch.randn(7, 64, generator=torch.Generator().manual_seed(bits))
    step = fq.first_step(weight, groups, bits)
    codes = fq.codes(weight, step, bits)
    low, high = fq.bounds(bits)
    assert codes.min() >= low
    assert codes.max() <= high
    assert len(codes.unique()) > 2
    rebuilt = (codes.reshape(7, groups, -1) * step[..., None]).reshape(7, 64)
    assert torch.allclose(fq.on_grid(weight, step, bits), rebuilt, rtol=1e-6, atol=0)


def test_gradients_pass_straight_through_inside_the_grid_and_stop_outside() -> None:
    weight = torch.tensor([[0.1, -0.6, 5.0, -5.0]], requires_grad=True)
    fq.on_grid(weight, torch.ones(1, 1), 2).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_the_step_follows_its_weights_and_is_damped() -> None:
    weight = torch.tensor([[10.0, 10.0, 10.0, 10.0]])
    step = torch.ones(1, 1, requires_grad=True)
    fq.on_grid(weight, step, 2).sum().backward()
    assert step.grad is not None
    # Each of four clipped weights contributes the code 1; the sum is damped by the root of weights times codes.
    assert step.grad.item() == pytest.approx(4 / (4 * 1) ** 0.5)


def test_the_step_of_least_error_beats_min_max_rounding() -> None:
    weight = torch.randn(16, 128, generator=torch.Generator().manual_seed(0))
    for bits in (2, 4):
        errors = [
            (fq.on_grid(weight, steps(weight, 1, bits), bits) - weight).square().mean().item()
            for steps in (fq.first_step, fq.naive_step)
        ]
        assert errors[0] < errors[1]


def test_static_int8_rounds_half_to_even_clamps_and_rests_at_zero() -> None:
    grid = fq.StaticInt8()
    x = torch.tensor([0.25, 0.75, 100.0, -100.0])
    assert torch.equal(grid(x), x)
    grid.freeze(0.5)
    assert grid(x).tolist() == [0.0, 1.0, 63.5, -64.0]


def test_static_int8_remembers_the_largest_magnitude_only_while_watching() -> None:
    grid = fq.StaticInt8()
    grid(torch.tensor([9.0]))
    grid.watching = True
    grid(torch.tensor([-3.0, 2.0]))
    assert grid.largest == 3.0


def test_q4_0_weights_lie_on_a_lattice_that_the_reader_recovers() -> None:
    weight = torch.randn(8, 96, generator=torch.Generator().manual_seed(2))
    weight[0] = 0
    rounded = fq.q4_0(weight)
    assert torch.equal(rounded, rounded.bfloat16().float())
    codes, scales, fits = recover(bfloat16.to_bits(rounded.numpy()).reshape(-1, fq.BLOCK))
    assert fits.all()
    assert (np.abs(codes).max(axis=1)[scales != 0] == 8).all()
    assert np.abs((rounded - weight).numpy()).max() < 0.5
    assert torch.equal(fq.q4_0(rounded), rounded)
