"""The operations that the evaluator knows, by MIL's names; formulas are those of MIL's own documentation.

Every function computes in the type of its floating-point inputs; rounding to the declared type is the evaluator's.
"""

from __future__ import annotations

from runtime_tests.coreml.program.kernel import Kernel
from runtime_tests.coreml.program.ops import arrange, elementwise, index, linear, quantized, reduce

KERNELS: dict[str, Kernel] = {
    **elementwise.KERNELS,
    **linear.KERNELS,
    **reduce.KERNELS,
    **arrange.KERNELS,
    **index.KERNELS,
    **quantized.KERNELS,
}
