"""A drafter's checkpoint: read exactly, held to its model, and refused in one line where the two do not go together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from convert import demo
from convert.checkpoint import open_checkpoint, resolve
from convert.checkpoint.drafter import open_drafter
from convert.checkpoint.types import Checkpoint
from convert.errors import CheckpointError, LatticeError
from convert.lattice import dequantize
from tests.support.drafter.assistant import write_assistant


def opened(folder: Path) -> Checkpoint:
    return open_drafter(resolve(folder), open_checkpoint(demo.folder()))


def spoilt(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    write_assistant(folder, demo.folder())
    config = json.loads((folder / "config.json").read_text("utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def test_every_matrix_on_the_lattice_is_read_as_its_codes(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path / "drafter", demo.folder())
    module = opened(folder).modules["drafter"]
    assert module.stored == "rounded lattice"
    assert len(module.quants) == 3 + 4 * 5  # head, two projections, and five linears a layer
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        for key, tensor in module.quants.items():
            name = {"lm_head": "model.embed_tokens"}.get(key, key if "projection" in key else f"model.{key}")
            stored = file.get_tensor(f"{name}.weight").float().numpy()
            exact = dequantize(tensor.codes(0, tensor.rows), tensor.scales(0, tensor.rows))
            bits = exact.view(np.uint32)
            rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
            assert np.array_equal(rounded, stored), key


def test_a_drafter_on_no_lattice_is_carried_as_the_floats_it_is(tmp_path: Path) -> None:
    module = opened(write_assistant(tmp_path / "drafter", demo.folder(), lattice=False)).modules["drafter"]
    assert (module.stored, len(module.quants)) == ("floats", 0)
    assert {tensor.dtype for tensor in module.floats.values()} == {"BF16"}


def test_layers_read_the_last_owner_of_their_kind(tmp_path: Path) -> None:
    layers = opened(write_assistant(tmp_path / "drafter", demo.folder())).modules["drafter"].config.text.layers
    assert [layer.owner for layer in layers] == [3, 3, 3, 4]
    assert not any(layer.owns_kv for layer in layers)  # the fourth one has its owner's number but one


def test_groups_of_an_ordered_head_are_read(tmp_path: Path) -> None:
    drafter = opened(write_assistant(tmp_path / "drafter", demo.folder(), ordered=True)).drafter
    assert drafter is not None
    assert not drafter.left_out
    (tokens,) = drafter.modules["drafter"].indices.values()
    assert sorted(tokens) == list(range(1280))


def test_groups_that_miss_a_token_are_refused(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path / "drafter", demo.folder(), ordered=True)
    data = bytearray((folder / "model.safetensors").read_bytes())
    length = int.from_bytes(data[:8], "little")
    begin, _ = json.loads(data[8 : 8 + length])["masked_embedding.token_ordering"]["data_offsets"]
    at = 8 + length + begin
    data[at : at + 8] = data[at + 8 : at + 16]
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="does not name every token once"):
        opened(folder)


def test_one_weight_off_the_lattice_is_found_when_its_rows_are_read(tmp_path: Path) -> None:
    folder = write_assistant(tmp_path / "drafter", demo.folder())
    data = bytearray((folder / "model.safetensors").read_bytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    start = header["model.layers.1.mlp.up_proj.weight"]["data_offsets"][0] + 8 + int.from_bytes(data[:8], "little")
    data[start + 2 * 64 * 5 + 6] ^= 1  # row 5: its low byte, and none of those that are sampled
    (folder / "model.safetensors").write_bytes(data)
    matrix = opened(folder).modules["drafter"].quants["layers.1.mlp.up_proj"]
    with pytest.raises(LatticeError, match=r"up_proj.weight is not on the Q4_0 lattice at row 5"):
        matrix.codes(0, matrix.rows)


def _text(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["text_config"].update({name: value})


def _whole(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.update({name: value})


ROPES = {
    "full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
    "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
}
FIT = "the drafter does not fit the model: its"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_whole("model_type", "gemma4"), "model_type is 'gemma4'. It must be 'gemma4_assistant'"),
        (_whole("backbone_hidden_size", 192), f"{FIT} backbone_hidden_size is 192, the model's 160"),
        (_text("vocab_size", 1281), f"{FIT} vocab_size is 1281, the model's 1280"),
        (_text("sliding_window", 32), f"{FIT} sliding_window is 32, the model's 64"),
        (_text("head_dim", 64), f"{FIT} head_dim of sliding_attention is 64, the model's 32"),
        (_text("global_head_dim", 32), f"{FIT} head_dim of full_attention is 32, the model's 64"),
        (_text("num_key_value_heads", 2), f"{FIT} key/value heads of sliding_attention is 2, the model's 1"),
        (_text("rope_parameters", ROPES), f"{FIT} rope of sliding_attention is Rope(theta=20000.0"),
        (_text("num_kv_shared_layers", 2), "num_kv_shared_layers is 2. It must be the number of layers, 4, or 0"),
        (_text("hidden_size_per_layer_input", 32), "hidden_size_per_layer_input is 32. It must be 0"),
        (_text("use_double_wide_mlp", True), "use_double_wide_mlp is True. It must be false"),
        (_whole("tie_word_embeddings", False), "tie_word_embeddings is False. It must be true"),
        (_text("hidden_size", 96), "config.json asks for"),
    ],
)
def test_a_drafter_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        opened(spoilt(tmp_path / "drafter", change))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_given_as_a_drafter_is_refused() -> None:
    with pytest.raises(CheckpointError, match=re.escape("It must be 'gemma4_assistant', as in the repositories of")):
        opened(demo.folder())
