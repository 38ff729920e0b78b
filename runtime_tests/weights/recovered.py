"""q4_0 weights before their rounding to bfloat16, recovered from the checkpoint alone.

A block of 32 stored weights is ``bfloat16(code * d)``: codes from -8 to 7, and one bfloat16 number d. Codes and d are
looked for; the product of the two has 12 bits and is exact in float32.

The weight of largest magnitude, m, has the code of largest magnitude, k, since rounding keeps the order. With d goes
-d with all codes negated, and 8 is no code: so k is one of -8 to -1. d is m / k where k is a power of two, for then
nothing was rounded. Elsewhere k * d was moved by at most half a last place of m, so d is the bfloat16 nearest to m / k,
or its neighbour on either side. Every other weight's code is then its quotient by d, rounded: rounding for storage
moved the quotient by 8 / 2**9 at most. A candidate holds when each of the 32 products rounds to the stored bits.

Several candidates may hold: a block of one weight and 31 zeros has one for each k. They differ by less than the
rounding of what is stored, so the checkpoint cannot tell which of them it was. The first that holds is taken, from
k = -8 on: the quantizer that the format is named after gives the largest weight the code -8. A converter may settle it
in another way; its file is then judged against its own choice, where that rounds to what is stored (``chosen_by``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime_tests.errors import CannotRunError
from runtime_tests.memory.pages import release
from runtime_tests.readers.checkpoint import Folder
from runtime_tests.weights.lattice import BLOCK, Lattice

Rows = Callable[[int, int], Any]  # weights of rows start:stop, a float32 tensor or array [rows, in]
_AT_ONCE = 1 << 20  # elements; what is worked on stays in the processor's cache
_CODES = range(-8, 0)
_EXACT = (-8, -4, -2, -1)


class Recovered:
    """The lattice of a checkpoint's linears; a source of weights for the reference."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._names = folder, frozenset(name for name in folder.floats if on_lattice(name))

    def __call__(self, key: str) -> Any:
        """Weight of a linear by its module path, a float32 tensor ``[out, in]``; None for one without a lattice.

        Raises:
            CannotRunError: a block of it lies on no lattice.
        """
        return self.nearest_to(key, None)

    def nearest_to(self, key: str, chosen: Rows | None) -> Any:
        """The same, with blocks as ``chosen`` has them wherever these round to what is stored."""
        import torch

        name = f"{key}.weight"
        if name not in self._names:
            return None
        rows, columns = self._folder.shape(name)
        out = torch.empty(rows, columns)
        step = max(1, _AT_ONCE // columns)
        lost = 0
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            stored = torch.from_numpy(self._folder.values(name, start, stop)).view(-1, BLOCK)
            found = out[start:stop].view(-1, BLOCK)
            if chosen is None:
                lost += _fill(found, stored)
                continue
            found.copy_(torch.as_tensor(chosen(start, stop)).reshape(-1, BLOCK))
            other = (~_same(found, stored)).nonzero()[:, 0]
            if len(other):
                mine = torch.empty(len(other), BLOCK)
                lost += _fill(mine, stored[other])
                found[other] = mine
        release(self._folder.stored(name, 0, rows))
        if lost:
            raise CannotRunError(f"{lost} blocks of {name} are the rounding of no lattice")
        return out


def chosen_by(folder: Folder, lattices: Mapping[str, Lattice]) -> Callable[[str], Any]:
    """A source of weights with an artifact's lattice wherever that rounds to what is stored, else the recovered one.

    Within a block of several candidates no one is more the checkpoint's than the others. A block that does not round to
    what is stored is a fault, and the artifact is held to the checkpoint's.
    """
    recovered = Recovered(folder)

    def source(key: str) -> Any:
        held = lattices.get(key)
        fits = held is not None and held.shape == folder.shape(f"{key}.weight")
        found = recovered.nearest_to(key, held.rows if held is not None and fits else None)
        if held is not None:
            held.release()
        return found

    return source


def on_lattice(name: str) -> bool:
    """Linears of the layers; the embeddings, norms and the model projection are not on the lattice."""
    return name.startswith("layers.") and name.endswith(("_proj.weight", "_gate.weight", "per_layer_projection.weight"))


def _fill(out: Any, stored: Any) -> int:
    """Writes the lattice of blocks ``[n, 32]`` into ``out``; returns how many have none."""
    import torch

    peak = stored.gather(1, stored.abs().argmax(dim=1, keepdim=True))
    out.copy_(torch.zeros(()))
    left = (peak[:, 0] != 0).nonzero()[:, 0]
    for k in _CODES:
        for step in (0,) if k in _EXACT else (0, -1, 1):
            if not len(left):
                return 0
            whole = len(left) == len(stored)
            blocks, top = (stored, peak) if whole else (stored[left], peak[left])
            found = _products(blocks, _quotient(top, k, step))
            holds = _same(found, blocks)
            if whole and bool(holds.all()):
                out.copy_(found)
                return 0
            out[left[holds]] = found[holds]
            left = left[~holds]
    return len(left)


def _quotient(peak: Any, k: int, step: int) -> Any:
    """The bfloat16 nearest to ``peak / k`` or one beside it, as float32 ``[n, 1]``."""
    import torch

    bits = (peak / k).bfloat16().view(torch.int16) + step  # the sign is the top bit: a step changes the magnitude
    return bits.view(torch.bfloat16).float()


def _products(blocks: Any, scale: Any) -> Any:
    return (blocks / scale).round_().clamp_(-8, 7).mul_(scale)


def _same(found: Any, stored: Any) -> Any:
    """Which blocks round to the stored ones; zeros by value."""
    import torch

    rounded = found.bfloat16().float()
    if torch.equal(rounded, stored):  # as a rule all do, and looking at each block takes longest
        return torch.ones(len(stored), dtype=torch.bool)
    return (rounded == stored).all(dim=1)
