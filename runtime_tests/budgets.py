"""The bars, one set per kind of checkpoint, each with its reason. Data, so that a change of a bar is a diff here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime_tests.readers.format import Storage


@dataclass(frozen=True)
class Budget:
    """Limits for one kind of checkpoint.

    Attributes:
        decoder_db: rung 1, SNR of the eager decoder's logits that is good enough whatever float32 itself can do.
        layer_db: rung 1, SNR of one layer's output on the reference's inputs.
        equal_codes: rung 2a, fraction of int8 outputs equal to the reference's.
        step: rung 2a, largest difference of an int8 output, in quantization steps.
        disturbed_rows: rung 2a, fraction of the tokens of one linear with any differing code.
        block_db: rung 2a, SNR of the float output of a block.
        kernel_db: rung 2a, SNR by XNNPACK of an output that plain kernels give within its own bar (plain.py); None:
            plain kernels are not asked.
        front_db: rung 2a, SNR of the first residual and of the per-layer inputs, which meet float weights only, and of
            the activations for a drafter, which are one norm.
        embedding_db: rung 2a, SNR of the embedding tables' rows.
        cache_db: rung 2a, SNR of new rows in the KV cache against what was to be written.
        logits_db: rung 2a, SNR of the logits from the reference's last residual.
        floor_factor: rungs 1 and 2b, how many times the floor's worst draw is still the floor.
        lowering_db: rung 2b, SNR that is good enough whatever the floor is.
        lattice_db: rung 2b, SNR against the reference with the weights before their rounding for storage.
        lowering_kl: rung 2b, mean KL in nats that is good enough whatever the floor is.
        artifact_points: rung 4, accuracy of the artifact from the reference's, in percentage points.
        artifact_p: rung 4, McNemar p below which the two differ.
        float_points: rung 4, how far the QAT reference may lie below the float model, in percentage points.
        ptq_p: rung 4, McNemar p from which on naive requantization is as good as QAT.
    """

    decoder_db: float
    layer_db: float
    equal_codes: float
    step: int
    disturbed_rows: float
    block_db: float
    kernel_db: float | None
    front_db: float
    embedding_db: float
    cache_db: float
    logits_db: float
    floor_factor: float
    lowering_db: float
    lowering_kl: float
    # Rung 4, the same for all kinds. The artifact computes what the reference computes, so half a point is what
    # near-ties may move among some 600 questions, and any significant difference is a fault.
    artifact_points: float = 0.5
    artifact_p: float = 0.05
    # What QAT is for: almost the float model's accuracy, where rounding without training clearly loses. Questions on
    # which PTQ loses nothing could not show a damaged artifact either.
    float_points: float = 2.0
    ptq_p: float = 0.001
    lattice_db: float = 0.0

    def block_bar(self, kind: str) -> float:
        """Rung 2a, dB, for a kind of boundary such as ``mlp``."""
        return self.front_db if kind in ("input", "per_layer_input", "activations") else self.block_db


# By whether activations are static int8.
_BUDGETS = {
    True: Budget(
        # The bar of the design; a float64 run decides where a model's temper makes more of the last bits.
        decoder_db=100.0,
        # One layer's sums in another order are some 130 dB, and of a layer with peaked scores 115 dB.
        layer_db=100.0,
        # A float difference in the last bit flips one rounding in some 100,000, and a flipped input moves a few per
        # cent of that token's outputs by one step.
        equal_codes=0.999,
        step=1,
        # Such flips strike single tokens; an error of structure strikes all, or all past the window.
        disturbed_rows=0.15,
        # 0.1 % of elements one step off are some 60 dB; the margin is for layers whose codes use few of the 256 steps.
        block_db=45.0,
        # Plain kernels round fixed-point products in another way, and integers add up without loss in any order.
        kernel_db=None,
        # One float32 matrix product, summed in another order.
        front_db=110.0,
        # code * scale is one multiplication on both sides.
        embedding_db=130.0,
        # The cache holds what was written: a copy.
        cache_db=150.0,
        # lm_head's float activations meet a dynamically quantized kernel, in a coarse part and a remainder.
        logits_db=80.0,
        # Five draws estimate the worst of a distribution badly: twice in disagreement and divergence, 6 dB in SNR.
        floor_factor=2.0,
        lowering_db=60.0,
        lowering_kl=1e-4,
    ),
    False: Budget(
        decoder_db=100.0,
        layer_db=100.0,
        # No static activation scales, so no int8 outputs to compare.
        equal_codes=1.0,
        step=0,
        disturbed_rows=0.0,
        # Activations in three int8 terms are float32's: some 130 dB a linear against the weights on their lattice.
        block_db=110.0,
        # Half of what the widest product of Gemma 4 keeps in XNNPACK: 12,288 columns leave 86 dB, 6,144 leave 91.
        kernel_db=80.0,
        front_db=110.0,
        # bfloat16 rows are copied and multiplied once.
        embedding_db=130.0,
        cache_db=150.0,
        # lm_head is tied to the embedding: a float32 matrix product.
        logits_db=110.0,
        floor_factor=2.0,
        # Both bars only replace a floor that is stricter; the rounding of the stored weights is part of that floor.
        lowering_db=60.0,
        lowering_kl=1e-5,
    ),
}


# By what is stored. Of integers nothing was rounded. The blocks' 130 dB, added up over the layers of small models, are
# 113 dB.
_LATTICE_DB: dict[Storage, float] = {"integers": 0.0, "rounded lattice": 100.0}


def budget_for(static_activations: bool, storage: Storage) -> Budget:
    """The budget of a checkpoint, by two facts of it: see ``readers/checkpoint.py``."""
    return replace(_BUDGETS[static_activations], lattice_db=_LATTICE_DB[storage])
