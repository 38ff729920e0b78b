"""How processors' kernels lay out weights, where they differ."""

from __future__ import annotations

import pytest

from convert.checkpoint.types import Checkpoint
from convert.targets.litert import TARGET, packed


def packings(checkpoint: Checkpoint) -> tuple[int, int]:
    """Bytes that a first start writes: where float columns are padded, as a plan says, and where they are not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "COLUMNS", 1)
        tight = TARGET.packs(checkpoint)
    return TARGET.packs(checkpoint), tight
