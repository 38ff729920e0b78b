"""The streamed full-size checkpoint: its sums without writing it, its network at a small size."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from convert.checkpoint.recover import recover
from convert.demo.writing import bfloat16, safetensors
from convert.demo.writing.stored import Matrix
from convert.errors import PlanError
from convert.lattice import flip_offset, unpack
from tests.support.checkpoints import fullsize, streamed
from tests.support.checkpoints.layout import tensors
from tests.support.checkpoints.shapes import E2B, E4B, FULL_SIZE, PUBLISHED, SMALL, Shape


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_the_header_of_e2b_is_the_published_one_byte_for_byte() -> None:
    text, ordered = safetensors.header(tensors(E2B, "mobile"), published=True)
    assert hashlib.sha256(text).hexdigest() == "8fd4ebc21f5e9c579d9498bb6712167249cb6480c750a7738690c20ecb0e8c34"
    counts = {dtype: sum(tensor.dtype == dtype for tensor in ordered) for dtype in ("F32", "BF16", "I8", "U8")}
    assert counts == {"F32": 1869, "BF16": 361, "I8": 182, "U8": 368}


@pytest.mark.parametrize(("shape", "size"), [(E2B, 2_458_111_846), (E4B, 3_525_094_516)])
def test_files_are_as_long_as_the_published_ones(shape: Shape, size: int) -> None:
    text, ordered = safetensors.header(tensors(shape, "mobile"), published=True)
    assert 8 + len(text) + sum(map(safetensors.size, ordered)) == size


@pytest.mark.parametrize(("shape", "size"), [(E2B, 10_208_852_910), (E4B, 15_882_477_500)])
def test_q4_0_files_hold_every_number_as_bfloat16(shape: Shape, size: int) -> None:
    text, ordered = safetensors.header(tensors(shape, "q4_0"))
    assert 8 + len(text) + sum(map(safetensors.size, ordered)) == size
    assert {tensor.dtype for tensor in ordered} == {"BF16"}


@pytest.mark.parametrize("size", ["e2b", "e4b"])
def test_a_streamed_checkpoint_loads_and_its_activations_stay_on_their_grids(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(fullsize, "FULL_SIZE", SMALL)
    monkeypatch.setattr(fullsize, "TOKENIZER_SIZE", 900)
    monkeypatch.setattr(fullsize, "PIECE_BYTES", 1000)
    fullsize.write(tmp_path, size, seed=3)
    torch.set_num_threads(1)
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, output_loading_info=True)
    assert {key: found for key, found in report.items() if found} == {}
    assert torch.equal(model.lm_head.weight, model.model.language_model.embed_tokens.embedding_quantized)
    clipped: list[float] = []

    def hook(module, inputs, output) -> None:  # type: ignore[no-untyped-def]
        clipped.append((inputs[0].abs() / module.input_activation_scale > 128).float().mean().item())

    for name, module in model.named_modules():
        if name.endswith(("_proj", "_gate", "per_layer_projection")):
            module.register_forward_hook(hook)
    with torch.inference_mode():
        logits = model(input_ids=torch.arange(2, 602)[None]).logits[0]
    assert clipped
    assert max(clipped) < 0.01
    assert bool(logits.isfinite().all())
    # The tokenizer cannot spell ids from 900 on: they are never chosen.
    assert int(logits.argmax(-1).max()) < 900
    assert len(set(logits.argmax(-1).tolist())) > 20


@pytest.mark.parametrize(("size", "format", "agreement"), [("e4b", "mobile", 0.6), ("e2b", "q4_0", 1.0)])
def test_a_network_as_deep_as_the_real_one_repeats_its_own_choices(
    size: str, format: str, agreement: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer's input is disturbed by a millionth, as another machine's sums would do."""
    import torch
    from transformers import AutoModelForCausalLM

    deep = replace(SMALL[size], layers=FULL_SIZE[size].layers, kv_shared=FULL_SIZE[size].kv_shared, hidden=128)
    monkeypatch.setattr(fullsize, "FULL_SIZE", {size: deep})
    monkeypatch.setattr(fullsize, "TOKENIZER_SIZE", 900)
    fullsize.write(tmp_path, size, format, seed=3)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = torch.arange(100, 228)[None]
    with torch.inference_mode():
        plain = model(input_ids=ids).logits[0]
        torch.manual_seed(0)
        for layer in model.model.language_model.layers:
            layer.register_forward_pre_hook(
                lambda _, args: (args[0] * (1 + 1e-6 * torch.randn(args[0].shape)), *args[1:])
            )
        moved = model(input_ids=ids).logits[0]
    assert not torch.equal(plain, moved)
    assert (plain.argmax(-1) == moved.argmax(-1)).float().mean() >= agreement
    assert len(set(plain.argmax(-1).tolist())) > 20


def test_streamed_q4_0_lies_on_its_lattice_as_a_trained_one_does() -> None:
    matrix = Matrix("layers.0.mlp.up_proj", 40, 4096, 4)
    blocks = np.frombuffer(b"".join(streamed.lattice(matrix, 0)), np.uint16).reshape(-1, 32)
    codes, scales, fits = recover(blocks)
    assert fits.all()
    assert np.bincount(codes.ravel() + 8, minlength=16).all()
    assert (codes.min(1) == -8)[scales != 0].all()
    assert 0.005 < (scales == 0).mean() < 0.02
    assert 0.45 < (scales >> 15).mean() < 0.55
    found = bfloat16.to_float(blocks).reshape(40, 4096)
    assert abs(found.mean()) < 0.01 * found.std()
    length = np.sqrt(np.square(found).sum(1))
    assert 0.75 < length.min() < length.max() < 1.25
    # The weights are rounded products, not products.
    assert (codes * bfloat16.to_float(scales)[:, None] != bfloat16.to_float(blocks)).mean() > 0.2


def test_streamed_tables_have_the_size_that_is_asked_of_each_row_and_lie_on_no_lattice() -> None:
    gains = np.array([[0.01, 0.03], [0.02, 0.0013]], np.float32)
    stored = np.frombuffer(b"".join(streamed.dense("any", (2, 8192), 0, 2, gains)), np.uint16)
    found = bfloat16.to_float(stored).reshape(2, 2, 4096)
    assert np.abs(np.sqrt(np.square(found).mean(2)) / gains - 1).max() < 0.09
    assert abs(found.mean()) < 0.02 * found.std()
    assert not recover(stored.reshape(-1, 32))[2].any()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_streamed_codes_average_zero_and_have_the_length_that_the_scales_assume(bits: int) -> None:
    matrix = Matrix("any", 64, 4096, bits)
    stored = np.frombuffer(b"".join(fullsize._codes(matrix, 64 * 4096 * bits // 8, 0)), np.uint8).reshape(64, -1)
    codes = unpack(flip_offset(stored, bits), bits, 4096).astype(np.float32)
    values = codes * fullsize._scales(matrix, 0, np.zeros(0, np.float32))
    length = np.sqrt(np.square(values).sum(1))
    assert abs(codes.mean()) < 0.01 * codes.std()
    assert length.min() > 0.75
    assert length.max() < 1.25
    assert codes.min() == {2: -2, 4: -8, 8: -127}[bits]


@pytest.mark.parametrize("format", ["mobile", "q4_0"])
def test_the_same_seed_streams_the_same_bytes(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fullsize, "FULL_SIZE", PUBLISHED)
    for name in ("a", "b"):
        fullsize.write(tmp_path / name, "e2b", format, seed=5)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(3_000_000_000, 2_000_000_000, 1_000_000_000))
    with pytest.raises(PlanError, match=r"full-size e2b mobile: it takes 2\.5\d GB and 1\.00 GB are free"):
        fullsize.write(tmp_path, "e2b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "format"), [("31b", "mobile"), ("e2b", "gguf")])
def test_other_sizes_and_formats_are_refused(size: str, format: str, tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=f"full-size {size} {format}: there is no such checkpoint. Choose a size of e2b, e4b"
    ):
        fullsize.write(tmp_path, size, format)


def test_a_fill_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    layout = tensors(SMALL["e2b"], "mobile")[:1]
    with pytest.raises(ValueError, match=r"lm_head\.input_activation_scale: 3 bytes written, 4 promised"):
        safetensors.write_file(tmp_path / "x", layout, lambda _: [b"abc"])
