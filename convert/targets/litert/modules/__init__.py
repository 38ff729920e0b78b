"""What modules of a checkpoint become in a ``.litertlm``: one file each, of the module's name in a checkpoint."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.targets.litert.graph import Model
    from convert.targets.litert.options import LitertOptions


class Lowered(Protocol):
    """A file of this folder."""

    def sections(self, checkpoint: Checkpoint, options: LitertOptions) -> dict[str, Model]:
        """The module's TFLite models by ``model_type``, in the order in which they lie in the file."""
        ...

    def weight_bytes(self, checkpoint: Checkpoint, options: LitertOptions) -> tuple[int, int]:
        """Bytes of the module's embedding tables, and of all its other weights, in the file."""
        ...

    def packed_bytes(self, checkpoint: Checkpoint) -> int:
        """Bytes of the copies of the module's weights that kernels make; see ``convert.targets.litert.packed``."""
        ...


def names() -> frozenset[str]:
    """Names of the modules that can be converted."""
    return frozenset(module.name for module in iter_modules(__path__))


def lowered() -> dict[str, Lowered]:
    """Every file by its module's name, sorted."""
    return {name: cast(Lowered, import_module(f"{__name__}.{name}")) for name in sorted(names())}
