"""What the layers of a tower gave on the reference's own inputs, and how that is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runtime_tests.budgets import Budget
from runtime_tests.measures.flips import farthest, touched
from runtime_tests.results import Check, at_least, at_most

MIXED = ("q_proj.linear", "k_proj.linear", "v_proj.linear")  # what the attention mixes
Codes = dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]]


@dataclass
class Found:
    """What the layers gave: dB by boundary, int8 outputs by linear, and names that are not there."""

    floats: dict[str, float] = field(default_factory=dict)
    different: int = 0
    total: int = 0
    far: dict[str, int] = field(default_factory=dict)
    disturbed: dict[str, float] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    names: int = 0

    def add(self, codes: Codes, equal: float) -> None:
        """Int8 outputs of a layer, the reference's and those found, ``[patches, out]`` by linear.

        What flips in a linear excuses what it feeds in its layer.

        Args:
            equal: share of them that must be.
        """
        self.total += sum(steps.size for steps, _ in codes.values())
        self.different += sum(int(np.count_nonzero(a != b)) for a, b in codes.values())
        self.far |= farthest(codes)
        self.disturbed |= touched(codes, 1 - equal)

    def codes(self, name: str, budget: Budget) -> list[Check]:
        """Checks of the int8 outputs; none where there are no such."""
        if not self.total:
            return []
        count = f"{self.different} of {self.total} in {len(self.far)} linears differ"
        far = max(self.far, key=self.far.__getitem__)
        most = max(self.disturbed, key=self.disturbed.__getitem__)
        equal = 1 - self.different / self.total
        patches = f"{name}: patches touched, worst linear"
        return [
            at_least(f"{name}: int8 outputs equal", equal, budget.equal_codes, "of 1", count),
            at_most(f"{name}: largest difference", self.far[far], budget.step, "steps", far),
            at_most(patches, self.disturbed[most], budget.disturbed_rows, "of 1", most),
        ]
