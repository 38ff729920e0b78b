"""The places inside a layer where artifact and reference can be compared, in the order in which they are computed.

Between two of the boundaries that ``forced.py`` cuts at, values still run through several modules. Tensors inside are
found by the checkpoint's names: the output of a linear, the output of a norm. A stage belongs to the sub-block whose
fault shows there first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime_tests.readers.litert.tflite import Subgraph
from runtime_tests.rungs.located import Block

OUT = "/out"


@dataclass(frozen=True)
class Stage:
    """One place.

    Attributes:
        name: of the compared tensor: a boundary, a module path, or ``logits``.
        layer: None before and after the layers.
        block: what is wrong when this is the first of its chain to depart.
        fault: the same in more words.
    """

    name: str
    layer: int | None
    block: Block
    fault: str


def chains(layer: int, per_layer: bool) -> Iterator[list[Stage]]:
    """The chains of a layer. Each begins at given values, so a departure in one never reaches another.

    Keys and values have norm and rotary embedding in common with the queries: those count to the attention.
    """

    def stage(name: str, block: Block, fault: str) -> Stage:
        return Stage(f"layers.{layer}{name}", layer, block, fault)

    before = stage(".input_layernorm", "attention", "norm before the attention")
    yield [stage("/per_layer_input", "per-layer input", "what the layer is given of the token")]
    yield [
        before,
        stage(".self_attn.k_proj", "kv", "key projection"),
        stage(".self_attn.k_norm", "attention", "norm of the keys"),
        stage("/key", "attention", "rotary embedding of the keys"),
    ]
    yield [
        before,
        stage(".self_attn.v_proj", "kv", "value projection"),
        stage("/value", "kv", "norm of the values"),
    ]
    yield [stage("/cache", "kv", "write into the cache")]
    yield [
        before,
        stage(".self_attn.q_proj", "attention", "query projection"),
        stage(".self_attn.q_norm", "attention", "norm of the queries"),
        stage(".self_attn.o_proj", "attention", "rotary embedding, scores, mask, mix or output projection"),
        stage(".post_attention_layernorm", "attention", "norm after the attention"),
        stage("/attention", "attention", "sum with the residual"),
    ]
    yield [
        stage(".pre_feedforward_layernorm", "mlp", "norm before the MLP"),
        stage(".mlp.gate_proj", "mlp", "gate projection"),
        stage(".mlp.up_proj", "mlp", "up projection"),
        stage(".mlp.down_proj", "mlp", "activation, product of gate and up, or down projection"),
        stage(".post_feedforward_layernorm", "mlp", "norm after the MLP"),
        stage("/mlp", "mlp", "sum with the residual"),
    ]
    tail = [
        stage(".per_layer_input_gate", "per-layer input", "gate of the per-layer input"),
        stage(".per_layer_projection", "per-layer input", "activation, product or projection of the per-layer input"),
        stage(".post_per_layer_input_norm", "per-layer input", "norm after the per-layer input"),
    ]
    yield [*(tail if per_layer else []), stage("/output", "layer scalar", "scalar of the layer")]


FRONT = [
    Stage("per_layer_model_projection", None, "per-layer input", "projection of the embeddings for all layers"),
    Stage("per_layer_projection_norm", None, "per-layer input", "norm of that projection"),
]
HEAD = [Stage("norm", None, "head", "last norm"), Stage("logits", None, "head", "output projection or softcap")]


def probes(graph: Subgraph) -> dict[str, int]:
    """Tensors by module path: outputs of linears named ``<module>/out``, and products with a norm's weight."""
    found: dict[str, int] = {}
    for tensor in graph.tensors:
        if tensor.name.endswith(OUT) and tensor.index in graph.producer:
            found[tensor.name.removesuffix(OUT)] = tensor.index
        key = tensor.name.removesuffix(".weight")
        if key != tensor.name and key.endswith("norm") and tensor.index not in graph.producer:
            uses = [op for op in graph.consumers.get(tensor.index, []) if op.code == "MUL"]
            if len(uses) == 1:  # a weight that several products use has no place of its own
                found[key] = uses[0].outputs[0]
    return found
