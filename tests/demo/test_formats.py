"""What the two formats store: codes, scales, lattices, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.demo.writing.layout import linears
from convert.demo.writing.shape import DEMO
from convert.demo.writing.stored import Matrix
from tests.support.checkpoints import values
from tests.support.checkpoints.layout import tensors
from tests.support.checkpoints.shapes import E2B, SMALL_E2B, SMALL_E4B, Shape
from tests.support.checkpoints.write import write_checkpoint

torch = pytest.importorskip("torch")


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def random_tokens(vocab: int, count: int, seed: int) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, vocab, (1, count)))


@pytest.mark.parametrize(("fixture", "shape"), [("mobile_e2b", SMALL_E2B), ("mobile_e4b", SMALL_E4B)])
def test_the_loader_sees_exactly_the_codes_and_scales_that_were_drawn(
    fixture: str, shape: Shape, request: pytest.FixtureRequest
) -> None:
    model = load(request.getfixturevalue(fixture))
    decoder = model.model.language_model
    for matrix in linears(shape):
        codes, scales = values.mobile(matrix, 7)
        seen = decoder.get_submodule(matrix.key)._dequantize_weights(torch.float32).detach().numpy()
        assert np.array_equal(seen, codes * scales), matrix.key
        assert seen.shape == (matrix.rows, matrix.columns)
    assert torch.equal(model.lm_head.weight, decoder.embed_tokens.embedding_quantized)
    assert torch.equal(model.lm_head.weight_scale, decoder.embed_tokens.embedding_scale)
    assert decoder.embed_tokens_per_layer.embedding_scale.shape == (shape.vocab, shape.layers)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_use_their_whole_range(bits: int) -> None:
    codes, _ = values.mobile(Matrix("any", 256, 256, bits), 0)
    assert (codes.min(), codes.max()) == {2: (-2, 1), 4: (-8, 7), 8: (-127, 127)}[bits]


@pytest.mark.parametrize(("fixture", "shape"), [("mobile_e2b", SMALL_E2B), ("mobile_e4b", SMALL_E4B)])
def test_activation_scales_are_shared_where_one_tensor_feeds_several_linears(
    fixture: str, shape: Shape, request: pytest.FixtureRequest
) -> None:
    model = load(request.getfixturevalue(fixture))
    decoder = model.model.language_model
    scales = {matrix.key: decoder.get_submodule(matrix.key) for matrix in linears(shape)}
    for key, module in scales.items():
        assert module.input_activation_scale > 0, key
        assert module.output_activation_scale > 0, key
    for i in range(shape.layers):
        attention, mlp = f"layers.{i}.self_attn.", f"layers.{i}.mlp."
        if shape.owns_kv(i):
            inputs = {scales[f"{attention}{leaf}_proj"].input_activation_scale.item() for leaf in "qkv"}
            assert len(inputs) == 1
        else:
            assert attention + "k_proj" not in scales
        gates = {scales[f"{mlp}{leaf}_proj"].input_activation_scale.item() for leaf in ("gate", "up")}
        assert len(gates) == 1
    assert model.lm_head.input_activation_scale == model.lm_head.output_activation_scale == 0
    outputs = {module.output_activation_scale.item() for module in scales.values()}
    assert len(outputs) == len(scales)


@pytest.mark.parametrize(("fixture", "shape"), [("mobile_e2b", SMALL_E2B), ("mobile_e4b", SMALL_E4B)])
def test_calibrated_scales_hold_the_activations_of_unseen_tokens(
    fixture: str, shape: Shape, request: pytest.FixtureRequest
) -> None:
    model = load(request.getfixturevalue(fixture))
    clipped: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def record(key: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            steps = inputs[0].abs() / module.input_activation_scale
            clipped[key] = (steps > 128).float().mean().item()
            peaks[key] = steps.max().item()

        return hook

    for matrix in linears(shape):
        model.model.language_model.get_submodule(matrix.key).register_forward_hook(record(matrix.key))
    with torch.inference_mode():
        model(input_ids=random_tokens(shape.vocab, 200, 11))
    assert len(clipped) == len(list(linears(shape)))
    assert max(clipped.values()) < 1e-3
    # And they are no larger than they must be.
    assert min(peaks.values()) > 40


@pytest.mark.parametrize(("fixture", "shape"), [("mobile_e2b", SMALL_E2B), ("mobile_e4b", SMALL_E4B)])
def test_cache_scales_belong_to_owners_and_are_repeated_only_where_the_shape_says(
    fixture: str, shape: Shape, request: pytest.FixtureRequest
) -> None:
    from safetensors.torch import load_file

    stored = load_file(request.getfixturevalue(fixture) / "model.safetensors")
    for i in range(shape.layers):
        for side in "kv":
            name = "model.language_model.layers.{}.self_attn." + side + "_cache_scale"
            assert (name.format(i) in stored) == (shape.owns_kv(i) or shape.shared_cache_scales)
            if name.format(i) in stored:
                assert stored[name.format(i)] == stored[name.format(shape.owner(i))] > 0


@pytest.mark.parametrize(("fixture", "shape"), [("q4_0_e2b", SMALL_E2B), ("q4_0_e4b", SMALL_E4B)])
def test_q4_0_weights_are_bf16_code_times_step_bit_for_bit(
    fixture: str, shape: Shape, request: pytest.FixtureRequest
) -> None:
    from safetensors.torch import load_file

    stored = load_file(request.getfixturevalue(fixture) / "model.safetensors")
    zero = few = negative = positive = 0
    for matrix in linears(shape):
        blocks = stored[f"model.language_model.{matrix.key}.weight"].reshape(-1, 32)
        where = blocks.abs().argmax(1, keepdim=True)
        step = (blocks.gather(1, where).float() / -8).bfloat16() + 0
        codes = (blocks.float() / torch.where(step == 0, 1, step).float()).round()
        assert int(codes.min()) == -8, matrix.key
        assert int(codes.max()) == 7, matrix.key
        rebuilt = ((codes + 0) * step.float()).bfloat16()
        assert torch.equal(rebuilt.view(torch.int16), blocks.view(torch.int16)), matrix.key
        assert bool((codes.gather(1, where) == -8)[step != 0].all()), matrix.key
        distinct = torch.tensor([len(set(row.tolist())) for row in codes[:400]])
        few += int(((distinct > 1) & (distinct < 4)).sum())
        zero += int((step == 0).sum())
        negative, positive = negative + int((step < 0).sum()), positive + int((step > 0).sum())
    assert min(zero, few) > 20
    assert 0.4 < negative / (negative + positive) < 0.6


def test_q4_0_stores_neither_a_head_nor_integers(q4_0_e2b: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(q4_0_e2b / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert not [name for name in stored if name.startswith("lm_head")]


def test_q4_0_refuses_dimensions_without_whole_blocks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layers\.0\.mlp\.down_proj: 330 inputs are no multiple of 32"):
        write_checkpoint(tmp_path, replace(SMALL_E2B, intermediate=330), "q4_0", 0)


def test_the_text_decoder_of_e2b_counts_the_tensors_that_it_computes_with() -> None:
    layout = tensors(replace(E2B, towers=None), "mobile")
    bits = [tensor.matrix.bits for tensor in layout if tensor.part == "codes" and tensor.matrix is not None]
    assert {width: bits.count(width) for width in (2, 4, 8)} == {2: 62, 4: 146, 8: 70}
    assert sum(tensor.dtype == "BF16" for tensor in layout) == 263


def test_small_shapes_have_odd_sizes() -> None:
    for shape in (SMALL_E2B, SMALL_E4B):
        assert shape.vocab % 64
        assert (shape.hidden, shape.window) == (192, 24)
        assert {shape.kind(shape.owner(i)) == shape.kind(i) for i in range(shape.layers)} == {True}
    assert DEMO.max_context >= 2048


def test_shards_are_never_empty_though_a_table_is_larger_than_a_shard(tmp_path: Path) -> None:
    from convert.checkpoint.safetensors import read_folder
    from convert.demo.writing import safetensors
    from convert.demo.writing.stored import Tensor

    held = [Tensor("a", "F32", (4,), "a", "dense"), Tensor("b", "F32", (400,), "b", "dense")]
    safetensors.write(tmp_path, held, lambda tensor: [bytes(4 * tensor.shape[0])], shards=3)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == ["model-00001-of-00001.safetensors"]
    assert set(read_folder(tmp_path, "read")) == {"a", "b"}
