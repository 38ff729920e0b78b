"""Rung 2b for toys: the forced sequence, against the reference and its noise floor."""

from __future__ import annotations

import numpy as np

from runtime_tests.results import Check
from runtime_tests.rungs import bars
from runtime_tests.toy.case import ToyCase


def climb(case: ToyCase) -> list[Check]:
    """Prefills the prompt and decodes the rest, token by token."""
    session = case.session()
    session.prefill(case.ids[: case.prompt])
    found = np.stack([session.decode(int(token)) for token in case.ids[case.prompt :]])
    return [*bars.judge(case, case.logits, found, case.floor), bars.wrap(case, "the graph narrows the mask itself")]
