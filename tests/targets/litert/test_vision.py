"""Image input in a `.litertlm`: what is carried, what the graphs compute, what the engine does with them."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from convert.checkpoint import open_checkpoint, open_folder, resolve, with_digests
from convert.checkpoint.modules.vision import TABLE, VisionConfig
from convert.checkpoint.types import ActivationScales, Checkpoint, Module
from convert.model.eager import EagerOps
from convert.model.vision import Vision
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from convert.targets.litert import vision as lowered
from convert.targets.litert.embedder import embedder
from convert.targets.litert.inspect import inspect
from convert.targets.litert.sizes import sizes
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.readers.litert.tflite import open_tflite
from tests.support.changed.rewritten import Tensors, rewrite
from tests.support.litert.tools import Run, decibels, packed, runner
from tests.support.vision.png import write_png
from tests.support.vision.towered import image, onto_lattice

OPTIONS = LitertOptions(512, (8,), image_tokens="70")
ENCODER, ADAPTER, END = "tf_lite_vision_encoder", "tf_lite_vision_adapter", "tf_lite_end_of_vision"


def opened(folder: Path) -> Checkpoint:
    return open_folder(resolve(folder), ("image",))


@pytest.fixture(scope="module")
def file(mobile_tower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("images") / "model.litertlm"
    convert(with_digests(opened(mobile_tower)), OPTIONS, out, Silent())
    return out


def test_integers_and_every_scale_are_carried_bit_for_bit(mobile_tower: Path, file: Path) -> None:
    vision = opened(mobile_tower).modules["vision"]
    model = open_tflite(open_litertlm(file).models()[ENCODER].data, ENCODER)
    graph = model.subgraph("vision_70")
    for key, matrix in vision.quants.items():
        weight, scales = graph.by_name[f"{key}.weight"], vision.activations[key]
        assert np.array_equal(model.rows(weight), matrix.codes(0, matrix.rows))
        assert np.array_equal(_scales(weight), matrix.scales(0, matrix.rows).reshape(-1))
        (product,) = graph.consumers[weight.index]
        assert _scales(graph.tensors[product.inputs[0]]).tolist() == [scales.input]
        assert _scales(graph.tensors[product.outputs[0]]).tolist() == [scales.output]
    for name in {name for name in vision.floats if name.startswith("vision_tower")} - {TABLE}:
        assert np.array_equal(model.rows(graph.by_name[name]), vision.floats[name].float32())
    for axis, suffix in enumerate("xy"):
        kept = model.rows(graph.by_name[f"{TABLE}.{suffix}"])
        assert np.array_equal(kept, vision.floats[TABLE].float32()[axis])
    adapter = open_tflite(open_litertlm(file).models()[ADAPTER].data, ADAPTER)
    (name,) = (name for name in vision.floats if name.startswith("embed_vision"))
    weight = adapter.subgraph("vision_adapter_70").by_name[name]
    assert np.array_equal(adapter.rows(weight), vision.floats[name].float32())


def _scales(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.quantization.scales)


def encoders(module: Module[VisionConfig]) -> tuple[Run, Run]:
    """The tower and the projection in TFLite's own runtime."""
    tower, projection = packed(lowered.encoder(module, OPTIONS)), packed(lowered.adapter(module, OPTIONS))
    return runner(tower, "vision_70"), runner(projection, "vision_adapter_70")


def compared(module: Module[VisionConfig], runs: tuple[Run, Run], width: int, height: int) -> float:
    """Decibels between rows of an image and the eager tower's; the masks are equal."""
    patches, positions = image(70, width, height, module.config, width * height)
    tower: Vision[torch.Tensor] = Vision(module.config, EagerOps(module))
    with torch.no_grad():
        features, there = tower(patches, positions)
        rows = tower.project(features)[there]
    out = runs[0](images=patches.numpy(), positions_xy=positions.numpy())
    assert np.array_equal(out["mask"], there.numpy())
    found = runs[1](soft_tokens=out["features"])["mm_embedding"]
    return decibels(rows.numpy(), found[there.numpy()])


def test_graphs_of_floats_give_the_eager_rows(q4_0_tower: Path) -> None:
    module = opened(q4_0_tower).modules["vision"]
    runs = encoders(module)
    for width, height in ((1, 1), (7, 9), (3, 23), (31, 2)):
        assert compared(module, runs, width, height) >= 90


def test_graphs_of_integers_give_the_eager_rows_where_no_code_falls_on_its_edge(mobile_tower: Path) -> None:
    """One code that is rounded otherwise is multiplied by what follows: most small images have none."""
    module = opened(mobile_tower).modules["vision"]
    runs = encoders(module)
    small = ((1, 1), (2, 1), (1, 3), (2, 2), (5, 1))
    assert median(compared(module, runs, width, height) for width, height in small) >= 90


def test_a_tower_on_the_lattice_computes_with_its_points(q4_0_tower: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(q4_0_tower, tmp_path / "model")
    rewrite(folder / "model.safetensors", onto_lattice)
    module = opened(folder).modules["vision"]
    assert (module.stored, len(module.quants)) == ("rounded lattice", 14)
    # The points themselves, and not as they are rounded for storage.
    exact = replace(module, stored="integers")
    assert compared(exact, encoders(module), 7, 9) >= 90


def test_an_input_that_several_linears_read_is_quantized_once(mobile_tower: Path) -> None:
    """As published: q, k and v share an input scale, gate and up another one."""
    module = opened(mobile_tower).modules["vision"]
    scales = {
        key: ActivationScales(np.float32(0.05 if "self_attn" in key else 0.04), each.output)
        for key, each in module.activations.items()
    }
    model = open_tflite(memoryview(packed(lowered.encoder(replace(module, activations=scales), OPTIONS))), "shared")
    codes = Counter(op.code for op in model.subgraph("vision_70").operators)
    assert (codes["QUANTIZE"], codes["DEQUANTIZE"], codes["FULLY_CONNECTED"]) == (2 * 4, 2 * 7, 2 * 7 + 1)


@pytest.mark.parametrize("kind", ["integers", "floats", "lattice"])
def test_an_mlp_by_pieces_gives_the_rows_of_all_at_once(
    kind: str, mobile_tower: Path, q4_0_tower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Int8 codes are made whole, so that weights are read once; only between them the rows go by pieces."""
    folder = shutil.copytree(mobile_tower if kind == "integers" else q4_0_tower, tmp_path / "model")
    if kind == "lattice":
        rewrite(folder / "model.safetensors", onto_lattice)
    module = opened(folder).modules["vision"]
    wide, products = module.config.intermediate, []
    patches, positions = image(70, 9, 7, module.config, 7)
    given, found = {"images": patches.numpy(), "positions_xy": positions.numpy()}, []
    for rows in (630, 210):
        monkeypatch.setattr("convert.model.vision._WIDE", 4 * wide * rows)
        model = packed(lowered.encoder(module, OPTIONS))
        graph = open_tflite(memoryview(model), "pieces").subgraph("vision_70")
        shapes = [tensor.shape for tensor in graph.tensors if tensor.type == "FLOAT32" and len(tensor.shape) == 3]
        # A product of floats with the lattice stacks its three terms.
        assert {shape[1] for shape in shapes if shape[2] == wide} == {rows, *([3 * rows] if kind == "lattice" else ())}
        products.append(sum(op.code == "FULLY_CONNECTED" for op in graph.operators))
        found.append(runner(model, "vision_70")(**given)["features"])
    assert decibels(*found) >= 100
    assert (products[0] == products[1]) == (kind == "integers")


def test_position_tables_are_cut_behind_the_last_patch_of_the_widest_image(mobile_tower: Path) -> None:
    config = opened(mobile_tower).modules["vision"].config
    for tokens, rows in (("70", 210), ("280", 840), ("1120", 3360)):
        options = replace(OPTIONS, image_tokens=tokens)
        assert lowered.table_rows(replace(config, positions=10_240), options) == rows
        assert lowered.table_rows(config, options) == config.positions == 96


def test_infinite_bounds_clip_nothing_and_leave_no_operator(q4_0_tower: Path, tmp_path: Path) -> None:
    def open_wide(tensors: Tensors) -> None:
        for name, (dtype, shape, _) in tensors.items():
            if "vision_tower" in name and name.endswith(("_max", "_min")):
                tensors[name] = dtype, shape, np.uint16(0x7F80 if name.endswith("_max") else 0xFF80).tobytes()

    folder = shutil.copytree(q4_0_tower, tmp_path / "model")
    rewrite(folder / "model.safetensors", open_wide)
    module = opened(folder).modules["vision"]
    codes = {}
    for name, given in (("open", module), ("clipped", opened(q4_0_tower).modules["vision"])):
        model = open_tflite(memoryview(packed(lowered.encoder(given, OPTIONS))), name)
        codes[name] = Counter(op.code for op in model.subgraph("vision_70").operators)
    assert codes["open"]["MINIMUM"] == 0
    # Of each layer, its seven outputs and four inputs that differ: q, k and v read one, gate and up another.
    assert codes["clipped"]["MINIMUM"] == 2 * 14
    assert compared(module, encoders(module), 7, 9) >= 90


def test_the_token_behind_an_image_has_the_embedder_s_row(mobile_tower: Path, q4_0_tower: Path) -> None:
    for folder in (mobile_tower, q4_0_tower):
        checkpoint = opened(folder)
        token = checkpoint.settings.placeholders["image_end"]
        found = runner(lowered.end(checkpoint, token), "eoi")()["eoi_embedding"]
        row = runner(embedder(checkpoint), "embedder")(token_ids=np.array([[token]], np.int32))["embeddings"]
        assert np.array_equal(found, row)


def test_the_same_input_gives_the_same_bytes_and_text_alone_those_without_a_tower(
    mobile_tower: Path, file: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.litertlm"
    convert(with_digests(opened(shutil.copytree(mobile_tower, tmp_path / "model"))), OPTIONS, again, Silent())
    assert again.read_bytes() == file.read_bytes()
    text = []
    for tokens in ("70", "280"):
        out = tmp_path / f"{tokens}.litertlm"
        options = replace(OPTIONS, image_tokens=tokens)
        convert(with_digests(open_checkpoint(mobile_tower)), options, out, Silent())
        text.append(out.read_bytes())
    assert text[0] == text[1]
    assert not any(name.encode() in text[0] for name in ("vision", "images"))


def test_what_the_engine_is_told_of_images(file: Path, mobile_tower: Path) -> None:
    gemma = open_litertlm(file).llm_metadata().llm_model_type.gemma4
    assert (gemma.start_of_image_token.token_str, gemma.end_of_image_token.token_str) == ("<|image>", "<image|>")
    assert (gemma.patch_width, gemma.patch_height, gemma.pooling_kernel_size) == (16, 16, 3)
    assert gemma.max_num_patches == 9 * 70


def test_a_signature_for_each_number_of_rows_shares_the_weights(mobile_tower: Path, tmp_path: Path) -> None:
    checkpoint = opened(mobile_tower)
    found = {}
    for tokens in ("70", "280"):
        options = replace(OPTIONS, image_tokens=tokens)
        out = tmp_path / f"{tokens}.litertlm"
        convert(checkpoint, options, out, Silent())
        found[tokens] = inspect(out)
        names = [s.name for s in found[tokens].signatures if s.section == ENCODER]
        assert names == [f"vision_{rows}" for rows in (70, 140, 280) if rows <= int(tokens)]
        assert out.stat().st_size <= sizes(checkpoint, options).model
        vision = sum(found[tokens].section(kind) for kind in (ENCODER, ADAPTER, END))
        assert vision <= sizes(checkpoint, options).modalities["image"]
    share = [each for each in found["280"].weights if (each.component, each.bits) == ("vision", 8)]
    assert [each.tensors for each in share] == [14]


def test_the_engine_answers_about_an_image(file: Path, tmp_path: Path) -> None:
    import litert_lm

    pixels = np.random.default_rng(0).integers(0, 256, (2, 90, 150, 3), dtype=np.uint8)
    for name, each in zip("ab", pixels, strict=True):
        write_png(tmp_path / f"{name}.png", each)
    model = shutil.copy(file, tmp_path / "model.litertlm")
    cpu = litert_lm.Backend.CPU()
    said = []
    with litert_lm.Engine(str(model), backend=cpu, vision_backend=cpu, max_num_images=2, max_num_tokens=512) as engine:
        for names in ("a", "b", "a", "ab"):
            parts = [{"type": "image", "path": str(tmp_path / f"{name}.png")} for name in names]
            with engine.create_conversation() as conversation:
                message = {"role": "user", "content": [*parts, {"type": "text", "text": "What is that?"}]}
                said.append((str(conversation.send_message(message)), conversation.token_count))
    texts, counts = zip(*said, strict=True)
    assert texts[0] == texts[2]
    assert len(set(texts)) == 3
    assert min(counts) > 60
