"""The judge reads a checkpoint module by module; whose a tensor is, it knows as transformers does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.module import known, module_of

PARTS = {"vision": ("vision_tower", "embed_vision"), "audio": ("audio_tower", "embed_audio")}


def transformers_model(folder: Path, quantized: bool) -> Any:
    """transformers' model of a folder's configuration, without weights."""
    import torch
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration
    from transformers.integrations.gemma_quant import replace_with_quant_layers
    from transformers.utils.quantization_config import GemmaQuantizationConfig

    settings = json.loads((folder / "config.json").read_text()).get("quantization_config")
    with torch.device("meta"):
        model = Gemma4ForConditionalGeneration(Gemma4Config.from_pretrained(folder))
    if quantized:
        given = {key: value for key, value in settings.items() if key != "quant_method"}
        replace_with_quant_layers(model, GemmaQuantizationConfig(**given), settings["modules_to_not_convert"])
    return model


def beginning(names: Any, module: str) -> set[str]:
    """Names of a module's tensors, as its keys."""
    prefixes = tuple(f"model.{part}." for part in PARTS.get(module, ("language_model",)))
    keys = {name.removeprefix("model.") for name in names if name.startswith(prefixes)}
    return {key.removeprefix("language_model.") for key in keys}


@pytest.mark.parametrize("module", ["vision", "audio"])
def test_an_encoders_tensors_are_those_of_transformers_with_the_same_bits(any_checkpoint: Path, module: str) -> None:
    folder = open_checkpoint(any_checkpoint, module)
    mobile = folder.storage == "integers"
    model = transformers_model(any_checkpoint, mobile)
    bits = {name: each.num_bits for name, each in model.named_modules() if hasattr(each, "num_bits")}
    wanted = {key: bits[f"model.{key}"] for key in beginning(bits, module)}
    assert {key: packed.bits for key, packed in folder.packed.items()} == wanted
    assert bool(wanted) is mobile
    stored = beginning(model.state_dict(), module)
    assert set(folder.names) == stored
    scales = tuple(f".{part}" for part in ("weight_scale", "input_activation_scale", "output_activation_scale"))
    codes = {f"{key}.weight" for key in wanted}
    assert set(folder.floats) == {key for key in stored if not key.endswith(scales)} - codes


def test_each_stored_tensor_is_read_of_one_module(any_checkpoint: Path) -> None:
    from safetensors import safe_open

    names = [open_checkpoint(any_checkpoint, module).names for module in known()]
    found = [stored for each in names for stored in each.values()]
    assert len(found) == len(set(found))
    stored = set[str]()
    for file in any_checkpoint.glob("*.safetensors"):
        with safe_open(file, framework="np") as opened:
            stored |= set(opened.keys())
    assert set(found) == stored


def test_values_and_codes_of_an_encoder_are_those_in_the_file(any_checkpoint: Path) -> None:
    from safetensors import safe_open

    folder, file = open_checkpoint(any_checkpoint, "vision"), any_checkpoint / "model.safetensors"
    if not file.exists():
        pytest.skip("in shards")
    with safe_open(file, framework="pt") as opened:
        key = next(key for key in folder.floats if key.endswith("position_embedding_table"))
        assert (folder.values(key) == opened.get_tensor(f"model.{key}").float().numpy()).all()
        for packed in list(folder.packed.values())[:2]:
            assert packed.bits == 8
            codes = opened.get_tensor(f"model.{packed.names[0]}").numpy()
            assert (folder.codes(packed, 0, packed.rows, codes.shape[1]) == codes).all()


@pytest.mark.parametrize("front", ["", "model.", "model.model."])
@pytest.mark.parametrize(
    ("name", "module"),
    [("vision_tower.x", "vision"), ("embed_audio.x", "audio"), ("language_model.x", "text"), ("layers.0.x", "text")],
)
def test_a_tensors_module_is_told_by_its_first_word(front: str, name: str, module: str) -> None:
    assert module_of(front + name) == (module, name)


@pytest.mark.parametrize(("name", "nested"), [("language_model.norm.weight", False), ("norm.weight", True)])
def test_a_name_of_the_other_kind_of_model_is_no_part_of_the_decoder(name: str, nested: bool) -> None:
    text = known()["text"]
    assert text.key(name, nested) is None
    assert text.key(name, not nested) == "norm.weight"


@pytest.mark.parametrize("leaf", ["k_proj", "v_proj", "k_norm", "v_norm"])
def test_keys_and_values_of_layers_that_read_anothers_are_unused(leaf: str) -> None:
    text, dims = known()["text"], SimpleNamespace(first_shared=12)
    unused = [i for i in range(20) if text.unused(f"layers.{i}.self_attn.{leaf}.weight", dims)]  # type: ignore[arg-type]
    assert unused == list(range(12, 20))
    for key in (f"layers.15.self_attn.{leaf}.bias", "layers.15.self_attn.q_proj.weight", f"layers.15.{leaf}.weight"):
        assert not text.unused(key, dims)  # type: ignore[arg-type]


def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    from runtime_tests.reference import loading

    seen: list[Any] = []

    def stop(config: Any) -> Callable[..., Any]:
        seen.append(config)
        raise ValueError("far enough")

    monkeypatch.setattr(loading, "_lean", lambda folder, config: stop(config))
    with pytest.raises(loading.InputError, match="far enough"):
        loading.load(folder)
    return seen[0]


def test_the_reference_is_loaded_without_the_encoders(any_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(monkeypatch, any_checkpoint)
    assert (config.vision_config, config.audio_config) == (None, None)
    assert config.text_config is not None
