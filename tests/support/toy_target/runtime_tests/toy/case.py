"""One ``.toy``, one checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from runtime_tests.case import Case
from runtime_tests.readers.toy import Toy
from runtime_tests.reference.model import Ids
from runtime_tests.toy.runtime import Runtime, Session


class ToyCase(Case):
    """As :class:`Case`; nobody ships an engine for toys."""

    target = "toy"
    elsewhere = frozenset({"3"})
    artifact: Toy

    @property
    def context(self) -> int:
        return self.artifact.context

    @cached_property
    def runtime(self) -> Runtime:
        return Runtime(self.artifact)

    def session(self) -> Session:
        """An empty conversation."""
        return Session(self.runtime, self.dims.hidden, self.dims.per_layer_width)

    def greedy(self, prompts: Sequence[Ids], steps: Sequence[int]) -> list[Ids]:
        """As :meth:`Case.greedy`."""
        return [self._greedy(ids, most) for ids, most in zip(prompts, steps, strict=True)]

    def _greedy(self, ids: Ids, most: int) -> Ids:
        session, new = self.session(), list[int]()
        session.prefill(ids[:-1])
        token = int(ids[-1])
        while len(new) < most and (not new or token not in self.stops):
            token = int(session.decode(token).argmax())
            new.append(token)
        return np.array(new, np.int32)
