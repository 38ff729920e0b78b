"""From a checkpoint to two ONNX models: valid, deterministic, in the checkpoint's own bits, and run by ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from convert.checkpoint import open_checkpoint
from convert.checkpoint.modules.text import TABLES
from convert.errors import PlanError
from convert.lattice import packed_width
from convert.model.eager import run
from convert.progress import Silent
from convert.targets.onnx import TARGET, OnnxOptions, convert
from convert.targets.onnx.sizes import sizes
from convert.targets.onnx.weights import block_of
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.readers.checkpoint import open_checkpoint as read

OPTIONS = OnnxOptions(context=192, prefill=(512,))


def made(folder: Path, out: Path) -> Path:
    out.mkdir()
    convert(open_checkpoint(folder), OPTIONS, out / "model.onnx", Silent())
    return out / "model.onnx"


def test_the_models_pass_onnx_own_checks(any_checkpoint: Path, tmp_path: Path) -> None:
    path = made(any_checkpoint, tmp_path / "out")
    for name in ("model.onnx", "embedding.onnx", "text.onnx"):
        onnx.checker.check_model(str(path.with_name(name)), full_check=True)


def test_the_same_checkpoint_gives_the_same_bytes(mobile_e2b: Path, tmp_path: Path) -> None:
    one, two = (made(mobile_e2b, tmp_path / name) for name in ("one", "two"))
    names = sorted(path.name for path in one.parent.iterdir())
    assert names == ["embedding.onnx", "embedding.onnx.data", "model.onnx", "model.onnx.data", "text.onnx"]
    assert [(one.parent / name).read_bytes() for name in names] == [(two.parent / name).read_bytes() for name in names]


def test_weights_keep_their_bits_but_for_matrices_of_two_which_lie_in_four(
    any_checkpoint: Path, tmp_path: Path
) -> None:
    path, checkpoint = made(any_checkpoint, tmp_path / "out"), open_checkpoint(any_checkpoint)
    found = {}
    for name in ("model.onnx", "embedding.onnx"):
        for tensor in onnx.load(str(path.with_name(name)), load_external_data=False).graph.initializer:
            if tensor.name.endswith(".codes"):
                found[tensor.name.removesuffix(".codes")] = int(
                    {i.key: i.value for i in tensor.external_data}["length"]
                )
    expected = {
        key: t.rows * packed_width(t.columns, 4 if t.bits == 2 and key not in TABLES else t.bits)
        for key, t in checkpoint.text.quants.items()
    }
    assert found == expected


def test_the_estimate_of_sizes_is_not_too_low_and_not_twice_too_high(any_checkpoint: Path, tmp_path: Path) -> None:
    path = made(any_checkpoint, tmp_path / "out")
    size = sum(one.stat().st_size for one in path.parent.iterdir())
    estimate = sizes(open_checkpoint(any_checkpoint), OPTIONS)
    assert size <= estimate.model <= size + (5 << 20)


@pytest.mark.parametrize("pieces", [(100, *[1] * 20), (13, 7, 80, 1, 19), (120,)])
def test_the_models_say_what_the_decoder_says_in_any_pieces(
    any_checkpoint: Path, tmp_path: Path, pieces: tuple[int, ...]
) -> None:
    path, checkpoint = made(any_checkpoint, tmp_path / "out"), open_checkpoint(any_checkpoint)
    ids = np.random.default_rng(1).integers(3, checkpoint.text.config.vocab, 120).astype(np.int32)
    session = OnnxCase(open_pair(path), read(any_checkpoint)).session()
    ends = np.cumsum(pieces)
    found = np.stack([session.run(ids[end - count : end]) for count, end in zip(pieces, ends, strict=True)])
    expected = run(checkpoint.text, ids, prefill=64, context=128)[ends - 1]
    noise = np.square(found - expected).mean(-1)
    if checkpoint.text.activations:  # a rounding may flip, and moves all that follows
        assert float((noise / np.square(expected).mean(-1)).max()) < 0.3  # another model's logits give 2
    else:  # the eager decoder has the weights as they are stored, rounded
        assert float((noise / np.square(expected).mean(-1)).max()) < 1e-3


def test_windows_are_the_operators_own_and_layers_that_share_give_no_keys(mobile_e2b: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(made(mobile_e2b, tmp_path / "out")), load_external_data=False).graph
    config = open_checkpoint(mobile_e2b).text.config
    nodes = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    windows = [next(a.i for a in node.attribute if a.name == "local_window_size") for node in nodes]
    assert windows == [config.window if layer.kind == "sliding_attention" else -1 for layer in config.layers]
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    assert [node.input[1] in shapes and 0 in shapes[node.input[1]] for node in nodes] == [
        not layer.owns_kv for layer in config.layers
    ]


def test_each_linear_is_one_product(mobile_e2b: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(made(mobile_e2b, tmp_path / "out")), load_external_data=False).graph
    counts, checkpoint = Counter(node.op_type for node in graph.node), open_checkpoint(mobile_e2b)
    assert counts["MatMulNBits"] == sum(key not in TABLES for key in checkpoint.text.quants)
    sides = {
        (key, side)
        for key, a in checkpoint.text.activations.items()
        for side in ("input", "output")
        if getattr(a, side)
    }
    assert counts["QuantizeLinear"] <= len(sides)


def test_columns_that_no_block_divides_are_refused_in_one_line() -> None:
    class Odd:
        name, columns, groups = "layers.0.mlp.up_proj", 40, 1

    with pytest.raises(PlanError, match="it has 40 columns, and ONNX Runtime takes multiples of 16"):
        block_of(Odd())  # type: ignore[arg-type]


def test_the_target_is_found_with_its_platforms() -> None:
    assert {"android", "desktop", "ios"} == TARGET.platforms
