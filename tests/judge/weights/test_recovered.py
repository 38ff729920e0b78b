"""The q4_0 lattice, recovered by the judge from the checkpoint alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from runtime_tests.errors import CannotRunError
from runtime_tests.readers.bits import bfloat16, to_bfloat16
from runtime_tests.weights.recovered import Recovered, chosen_by

NAME, KEY = "layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj"


@dataclass(frozen=True)
class Stored:
    """A checkpoint with one linear."""

    weights: np.ndarray

    @property
    def floats(self) -> list[str]:
        return [NAME, "norm.weight"]

    def shape(self, key: str) -> tuple[int, ...]:
        return self.weights.shape

    def stored(self, key: str, start: int, stop: int) -> np.ndarray:
        return to_bfloat16(self.weights[start:stop])

    def values(self, key: str, start: int, stop: int) -> np.ndarray:
        return bfloat16(to_bfloat16(self.weights[start:stop]))


@dataclass(frozen=True)
class Held:
    """An artifact's lattice."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self.values[start:stop]

    def release(self) -> None:
        pass


def recovered(weights: np.ndarray) -> np.ndarray:
    return Recovered(Stored(weights))(KEY).numpy()


def scales(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal((count, 1)) * 10.0 ** generator.integers(-8, 3, (count, 1))
    return bfloat16(to_bfloat16(drawn.astype(np.float32)))


@pytest.mark.parametrize("extreme", range(-8, 0))
def test_a_block_comes_back_whatever_its_largest_code_is(extreme: int) -> None:
    """Every value is the very product, but where the checkpoint leaves a choice: then it rounds to the same bits."""
    codes = np.random.default_rng(extreme + 8).integers(extreme, -extreme, (400, 32)).clip(max=7).astype(np.float32)
    codes[:, 5] = extreme
    weights = codes * scales(400, -extreme)
    found = recovered(weights)
    assert np.array_equal(bfloat16(to_bfloat16(found)), bfloat16(to_bfloat16(weights)))
    exact = (found == weights).all(axis=1).mean()
    assert exact == 1.0 if extreme == -8 else exact >= {-7: 0.95, -6: 0.3, -5: 0.3}.get(extreme, 0.0)


def test_blocks_of_zeros_and_signed_zeros_are_zeros() -> None:
    weights = np.zeros((3, 64), np.float32)
    weights[1, :32] = -0.0
    assert not recovered(weights).any()


def test_a_large_matrix_is_taken_in_pieces_and_other_tensors_are_left_alone() -> None:
    codes = np.random.default_rng(2).integers(-8, 8, (1100, 32 * 32)).astype(np.float32)
    codes[:, ::32] = -8
    weights = (codes.reshape(-1, 32) * scales(1100 * 32)).reshape(codes.shape)
    assert np.array_equal(recovered(weights), weights)
    assert Recovered(Stored(weights))("norm") is None


def test_a_block_on_no_lattice_is_refused() -> None:
    weights = np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)
    with pytest.raises(
        CannotRunError, match=r"4 blocks of layers\.0\.mlp\.up_proj\.weight are the rounding of no lattice"
    ):
        recovered(weights)


def test_where_the_checkpoint_leaves_a_choice_the_artifacts_counts() -> None:
    """One weight and 31 zeros: -8 times its eighth, or -7 times what rounds to it."""
    weights = np.zeros((2, 32), np.float32)
    weights[0, 3], weights[1, 3] = 1.0, 3.0
    mine = recovered(weights)
    assert np.array_equal(mine, weights)
    theirs = weights.copy()
    theirs[0, 3] = np.float32(-7) * bfloat16(to_bfloat16(np.array([-1 / 7], np.float32)))[0]
    assert theirs[0, 3] != 1.0
    theirs[1, 3] = 3.1  # no choice of the checkpoint's
    source = chosen_by(Stored(weights), {KEY: Held(theirs)})
    assert source(KEY)[0, 3] == theirs[0, 3]
    assert source(KEY)[1, 3] == 3.0


def test_a_matrix_of_another_shape_is_no_choice() -> None:
    weights = np.zeros((2, 32), np.float32)
    weights[:, 0] = 1.0
    assert np.array_equal(chosen_by(Stored(weights), {KEY: Held(np.zeros((1, 32)))})(KEY).numpy(), weights)
    assert np.array_equal(chosen_by(Stored(weights), {})(KEY).numpy(), weights)
