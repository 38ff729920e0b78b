"""The bars of other runtimes beside XNNPACK."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Limits of another runtime beside XNNPACK, both on the same bytes and the same inputs.

    Attributes:
        codes: fraction of the int8 outputs of decode's linears that are equal, each block on given inputs.
        block_db: SNR of the float outputs of the blocks.
        logits_db: SNR of a short forced decode; the noise floor less 6 dB stands in its place where that is lower.
            None: it is only stated.
    """

    codes: float
    block_db: float
    logits_db: float | None


# By the kind of kernels, and whether activations are static int8.
_AGREEMENTS = {
    # Kernels without the delegate round their fixed-point products in another way: one step in some 0.3 % of a linear's
    # outputs, and within a block one linear's outputs are the next one's inputs. Measured: 93 % equal, 30 dB; the
    # logits of models of static int8 are then their noise floor's.
    ("builtin", True): Agreement(codes=0.85, block_db=20.0, logits_db=None),
    ("builtin", False): Agreement(codes=1.0, block_db=110.0, logits_db=90.0),  # measured: 128 dB, 118 dB
    # Other builds of the same kernels. Measured: every int8 output equal, 150 dB; q4_0 137 dB, logits 119 dB.
    ("other build", True): Agreement(codes=0.999, block_db=45.0, logits_db=60.0),
    ("other build", False): Agreement(codes=1.0, block_db=110.0, logits_db=90.0),
}


def agreement_for(runtime: str, static_activations: bool) -> Agreement:
    """The limits of a runtime by what ``replay.py`` calls it."""
    return _AGREEMENTS["builtin" if runtime in ("builtin", "reference") else "other build", static_activations]
