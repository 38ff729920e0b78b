"""The vision tower as a module of a checkpoint: what is read of it, and what is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.checkpoint import check_small_files, open_checkpoint, open_folder, resolve
from convert.checkpoint.modules.vision import BOUNDS, TABLE
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError
from tests.support.changed.rewritten import Tensors, rewrite

LAYER = "model.vision_tower.encoder.layers.1"


def opened(folder: Path) -> Checkpoint:
    return open_folder(resolve(folder), ("image",))


def changed(source: Path, folder: Path, change: Callable[[Tensors], object]) -> Path:
    shutil.copytree(source, folder)
    rewrite(folder / "model.safetensors", change)
    return folder


def configured(source: Path, folder: Path, field: str, value: Any) -> Path:
    """The small files of a checkpoint with one field of its vision_config, or one beside it, changed."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text("utf-8"))
    at = config["vision_config"]
    for part in field.split(".")[:-1]:
        at = at[part]
    at[field.split(".")[-1]] = value
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def test_where_nobody_asks_the_tower_is_left_out(mobile_tower: Path) -> None:
    without, with_it = open_checkpoint(mobile_tower), opened(mobile_tower)
    assert without.modules.keys() == {"text"}
    assert with_it.modules.keys() == {"text", "vision"}
    lost = without.left_out.keys() - with_it.left_out.keys()
    assert {name.split(".")[1] for name in lost} == {"vision_tower", "embed_vision"}
    assert {name.split(".")[1] for name in with_it.left_out if "layers.2." not in name} >= {"audio_tower"}
    assert not [name for name in with_it.left_out if "vision" in name]


def test_integers_scales_and_floats_are_read_as_they_are_stored(mobile_tower: Path) -> None:
    vision = opened(mobile_tower).modules["vision"]
    stored = {name: array for name, array in _stored(mobile_tower).items() if "vision" in name}
    assert len(vision.quants) == len(vision.activations) == 2 * 7
    for key, matrix in vision.quants.items():
        assert np.array_equal(matrix.codes(0, matrix.rows), stored.pop(f"model.{key}.weight"))
        assert np.array_equal(matrix.scales(0, matrix.rows), stored.pop(f"model.{key}.weight_scale"))
        for side in ("input", "output"):
            assert getattr(vision.activations[key], side) == stored.pop(f"model.{key}.{side}_activation_scale")
    for name, tensor in vision.floats.items():
        assert np.array_equal(tensor.float32(), stored.pop(f"model.{name}"))
    assert stored == {}


def _stored(folder: Path) -> dict[str, Any]:
    """Tensors as numpy has them, bfloat16 ones widened."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    return {name: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}


def test_bounds_are_read_where_linears_are_clipped(q4_0_tower: Path, tmp_path: Path) -> None:
    vision = opened(q4_0_tower).modules["vision"]
    assert vision.config.clipped
    assert sum(name.endswith(BOUNDS) for name in vision.floats) == 2 * 7 * 4

    def open_wide(tensors: Tensors) -> None:
        name = f"{LAYER}.mlp.up_proj.input_max"
        tensors[name] = (*tensors[name][:2], np.uint16(0x7F80).tobytes())

    found = opened(changed(q4_0_tower, tmp_path / "wide", open_wide)).modules["vision"]
    assert found.floats["vision_tower.encoder.layers.1.mlp.up_proj.input_max"].float32() == np.inf


def _drop(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def _put(name: str, dtype: str, bits: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: (dtype, list(bits.shape), bits.tobytes())})


NAN = np.array(0x7FC0, np.uint16)
TENSORS: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "a linear is missing": (_drop(f"{LAYER}.mlp.up_proj.linear.weight"), "up_proj.linear.weight is missing"),
    "a bound is missing": (_drop(f"{LAYER}.mlp.up_proj.output_min"), "up_proj.output_min is missing"),
    "a bound is none": (_put(f"{LAYER}.mlp.up_proj.output_min", "BF16", NAN), "up_proj.output_min is not a number"),
    "bounds are two": (
        _put(f"{LAYER}.mlp.up_proj.output_min", "BF16", np.zeros(2, np.uint16)),
        r"up_proj.output_min is BF16 \[2\]; config.json asks for BF16 or F16 or F32 \[\]",
    ),
    "a position is infinite": (
        _put(f"model.{TABLE}", "BF16", np.full((2, 96, 96), 0x7F80, np.uint16)),
        "position_embedding_table holds a number that is not finite",
    ),
    "the table is short": (
        _put(f"model.{TABLE}", "BF16", np.zeros((2, 95, 96), np.uint16)),
        r"position_embedding_table is BF16 \[2, 95, 96\]",
    ),
    "something is too many": (
        _put("model.vision_tower.std_bias", "BF16", np.zeros(96, np.uint16)),
        "unexpected tensor 'model.vision_tower.std_bias'",
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_config_json_are_refused_by_name(name: str, q4_0_tower: Path, tmp_path: Path) -> None:
    change, said = TENSORS[name]
    with pytest.raises(CheckpointError, match=said):
        opened(changed(q4_0_tower, tmp_path / "model", change))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_size", 0, "vision_config: hidden_size is 0. It must be a whole number"),
        ("hidden_size", "96", "hidden_size is '96'"),
        ("hidden_size", 1 << 40, "hidden_size is 1099511627776"),
        ("num_hidden_layers", 1 << 20, "num_hidden_layers is 1048576"),
        ("num_key_value_heads", 3, "num_key_value_heads is 3. It must be 6, as num_attention_heads"),
        ("head_dim", 6, "head_dim is 6. It must be a multiple of 4"),
        ("rms_norm_eps", 0.0, "rms_norm_eps is 0.0"),
        ("rms_norm_eps", 1, "rms_norm_eps is 1"),
        ("use_clipped_linears", None, "use_clipped_linears is None"),
        ("use_clipped_linears", 1, "use_clipped_linears is 1"),
        ("standardize", True, "standardize is True. It must be false"),
        ("attention_bias", True, "attention_bias is True. It must be false"),
        ("hidden_activation", "silu", "hidden_activation is 'silu'. It must be 'gelu_pytorch_tanh'"),
        ("patch_size", 14, "patch_size is 14. It must be 16"),
        ("pooling_kernel_size", 2, "pooling_kernel_size is 2. It must be 3"),
        ("model_type", "siglip", "model_type is 'siglip'"),
        ("rope_parameters", [], "rope_parameters is []. It must be an object"),
        ("rope_parameters.rope_theta", 0, "vision_config.rope_parameters: rope_theta is 0"),
        (
            "rope_parameters.rope_type",
            "yarn",
            "vision_config.rope_parameters: rope_type is 'yarn'. It must be 'default' or 'axial'",
        ),
    ],
)
def test_settings_that_have_no_meaning_are_refused_before_the_weights_are_there(
    field: str, value: Any, said: str, q4_0_tower: Path, tmp_path: Path
) -> None:
    folder = configured(q4_0_tower, tmp_path / "model", field, value)
    with pytest.raises(CheckpointError) as refused:
        check_small_files(folder, ("image",))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    check_small_files(folder)  # nobody asked for images


@pytest.mark.parametrize("folder", ["mobile_e2b", "no tower"])
def test_a_checkpoint_without_a_tower_is_refused_where_images_are_asked_for(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if folder == "no tower":
        source = shutil.copytree(request.getfixturevalue("q4_0_tower"), tmp_path / "model")
        config = json.loads((source / "config.json").read_text("utf-8"))
        (source / "config.json").write_text(json.dumps(config | {"vision_config": None}), "utf-8")
    else:
        source = request.getfixturevalue(folder)
    said = "image input was asked for and the checkpoint has no vision encoder"
    with pytest.raises(CheckpointError, match=said):
        opened(source)
