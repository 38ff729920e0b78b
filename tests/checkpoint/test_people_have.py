"""Checkpoints as people have them: saved anew, wrapped, merged or not, in another type, or of another kind.

Each is read exactly or refused with the true reason. The judge's reader and transformers are held to the same cases.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint
from convert.checkpoint import rename as command
from convert.checkpoint.names import published
from convert.checkpoint.rename import rename
from convert.checkpoint.tensors import NarrowedFloats
from convert.errors import CheckpointError
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.errors import InputError
from runtime_tests.readers.checkpoint import Folder
from tests.support.changed.rewritten import Tensors, rewrite

DECODER = "model.language_model."
WEIGHTS = "model.safetensors"
Rename = Callable[[str], str]


def instead(new: str) -> Rename:
    return lambda name: new + name.removeprefix(DECODER) if name.startswith(DECODER) else name


def before(new: str) -> Rename:
    return lambda name: new + name


# How a decoder's tensors are named, and of which origin the refusal speaks; None: read, by transformers too.
NAMES: dict[str, tuple[Rename, str | None]] = {
    "as published": (before(""), None),
    "without model": (lambda name: name.removeprefix("model."), None),
    "with another model": (before("model."), None),
    "some without model": (lambda name: name.removeprefix("model.") if "layers.1" in name else name, None),
    "older transformers": (instead("language_model.model."), "an older transformers"),
    "wrapped language model": (instead("model.language_model.model."), "a language model inside a wrapper"),
    "torch.compile": (before("_orig_mod."), "torch.compile"),
    "torch.compile inside": (lambda name: name.replace("model.", "model._orig_mod.", 1), "torch.compile"),
    "parallel": (before("module."), "parallel training"),
    "PEFT": (before("base_model.model."), "PEFT's wrapper"),
    "PEFT's layers": (lambda name: name.replace("q_proj.", "q_proj.base_layer."), "PEFT's layers"),
    "text only": (instead("model."), "a text-only model, which config.json is not"),
    "bare": (instead(""), "a text-only model, which config.json is not"),
}
names = pytest.mark.parametrize("how", NAMES)


def copy(source: Path, folder: Path, change: Callable[[Tensors], object] | None = None) -> Path:
    shutil.copytree(source, folder)
    if change is not None:
        rewrite(folder / WEIGHTS, change)
    return folder


def renamed(source: Path, folder: Path, name: Rename) -> Path:
    def change(tensors: Tensors) -> None:
        items = {name(old): tensor for old, tensor in tensors.items()}
        tensors.clear()
        tensors.update(items)

    return copy(source, folder, change)


def configure(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((folder / "config.json").read_text("utf-8"))
    change(content)
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def bare(config: dict[str, Any]) -> None:
    """Makes it the configuration of a text-only model."""
    config.update(config.pop("text_config"))
    config.update(model_type="gemma4_text", architectures=["Gemma4ForCausalLM"])


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def converted(folder: Path, out: Path) -> bytes:
    convert(open_checkpoint(folder), LitertOptions(context=64, prefill=(16,), cache="float32"), out, Silent())
    return out.read_bytes()


@pytest.fixture(scope="module")
def plain(q4_0_e2b: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The q4_0 checkpoint as it is published, converted."""
    return converted(q4_0_e2b, tmp_path_factory.mktemp("plain") / "x.litertlm")


@names
@pytest.mark.parametrize("format", ["mobile_e2b", "q4_0_e2b"])
def test_names_are_read_or_refused_with_their_origin(
    tmp_path: Path, request: pytest.FixtureRequest, format: str, how: str
) -> None:
    source, (name, origin) = request.getfixturevalue(format), NAMES[how]
    folder = renamed(source, tmp_path / "renamed", name)
    if origin is None:
        found, expected = open_checkpoint(folder), open_checkpoint(source)
        assert found.text.quants.keys() == expected.text.quants.keys()
        assert found.text.floats.keys() == expected.text.floats.keys()
        assert {key: each.bits for key, each in found.text.quants.items()} == {
            key: each.bits for key, each in expected.text.quants.items()
        }
        assert Folder(folder).names.keys() == Folder(source).names.keys()
        assert {key: each.bits for key, each in Folder(folder).packed.items()} == {
            key: each.bits for key, each in Folder(source).packed.items()
        }
        return
    message = refusal(folder)
    assert f"have names of {origin}" in message.replace("a model wrapped by ", "").replace("a model wrapped for ", "")
    assert f"python -m convert.checkpoint.rename {folder} NEW_FOLDER" in message
    assert rename(folder, tmp_path / "new") > 0
    assert open_checkpoint(tmp_path / "new").text.quants.keys() == open_checkpoint(source).text.quants.keys()


@names
def test_transformers_finds_the_tensors_of_exactly_the_names_that_are_read(
    tmp_path: Path, q4_0_e2b: Path, how: str
) -> None:
    from transformers import Gemma4ForConditionalGeneration

    name, origin = NAMES[how]
    folder = renamed(q4_0_e2b, tmp_path / "renamed", name)
    _, told = Gemma4ForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert bool(told["missing_keys"]) == (origin is not None)


@pytest.mark.parametrize(
    ("new", "read"), [("model.", True), ("", True), ("model.model.", True), (DECODER, False), ("module.model.", False)]
)
def test_a_text_only_model_has_its_own_names(tmp_path: Path, q4_0_e2b: Path, new: str, read: bool) -> None:
    from transformers import Gemma4ForCausalLM

    folder = configure(renamed(q4_0_e2b, tmp_path / "renamed", instead(new)), bare)
    _, told = Gemma4ForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert bool(told["missing_keys"]) != read
    if read:
        assert open_checkpoint(folder).text.quants.keys() == open_checkpoint(q4_0_e2b).text.quants.keys()
        assert Folder(folder).names.keys() == Folder(q4_0_e2b).names.keys()
    else:
        assert "which transformers does not find" in refusal(folder)


def test_a_head_under_a_wrapper_has_its_own_name_again() -> None:
    assert published("language_model.lm_head.weight", True) == ("lm_head.weight", "an older transformers")
    assert published("model.lm_head.weight", True) == ("lm_head.weight", None)
    assert published("base_model.model.lm_head.weight", False)[0] == "lm_head.weight"


def test_two_names_of_one_tensor_are_refused(tmp_path: Path, mobile_e2b: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors["language_model.norm.weight"] = tensors[f"{DECODER}norm.weight"]

    folder = copy(mobile_e2b, tmp_path / "twice", change)
    both = f"tensors 'language_model.norm.weight' and '{DECODER}norm.weight' are both {DECODER}norm.weight"
    assert both in refusal(folder)
    with pytest.raises(InputError, match=r"are both norm\.weight"):
        _ = Folder(folder).names
    with pytest.raises(CheckpointError, match="would both be"):
        rename(folder, tmp_path / "new")


def test_the_renaming_command_copies_shards_and_companions(
    tmp_path: Path, mobile_e2b: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, odd = copy(mobile_e2b, tmp_path / "shards"), before("module.")
    whole = tmp_path / "whole.safetensors"
    shutil.move(folder / WEIGHTS, whole)
    weight_map = {}
    for part in (0, 1):
        shard = folder / f"model-0000{part + 1}-of-00002.safetensors"
        shutil.copyfile(whole, shard)

        def change(tensors: Tensors, part: int = part, shard: str = shard.name) -> None:
            kept = dict(list(tensors.items())[part::2])
            tensors.clear()
            tensors.update({odd(name): tensor for name, tensor in kept.items()})
            weight_map.update(dict.fromkeys(tensors, shard))

        rewrite(shard, change)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert "parallel training" in refusal(folder)
    monkeypatch.setattr(sys, "argv", ["rename", str(folder), str(tmp_path / "new")])
    command.main()
    assert f"{len(weight_map)} tensors have another name" in capsys.readouterr().out
    assert converted(tmp_path / "new", tmp_path / "a") == converted(mobile_e2b, tmp_path / "b")
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert (ended.value.code, capsys.readouterr().err.count("new exists. Give a folder that is not there yet\n")) == (
        2,
        1,
    )


def test_an_adapter_inside_is_refused(tmp_path: Path, q4_0_e2b: Path) -> None:
    def change(tensors: Tensors) -> None:
        query = f"base_model.model.{DECODER}layers.0.self_attn.q_proj"
        tensors[f"{query}.lora_A.default.weight"] = tensors[f"{query}.lora_B.weight"] = ("F32", [1], bytes(4))

    message = refusal(copy(q4_0_e2b, tmp_path / "lora", change))
    assert "q_proj.lora_A.default.weight' and 1 more belong to an adapter that is not merged" in message
    assert "merge_and_unload" in message


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_the_model_is_refused(tmp_path: Path, q4_0_e2b: Path, name: str) -> None:
    folder = copy(q4_0_e2b, tmp_path / "lora")
    (folder / name).write_text("{}")
    assert f"an adapter that is not merged lies beside the model ({name})" in refusal(folder)
    with pytest.raises(InputError, match=f"{name} is an adapter"):
        Folder(folder)
    (folder / "config.json").unlink()
    assert f"it is an adapter without its model ({name})" in refusal(folder)


def head(change: Callable[[bytes], bytes]) -> Callable[[Tensors], None]:
    def add(tensors: Tensors) -> None:
        dtype, shape, content = tensors[f"{DECODER}embed_tokens.weight"]
        tensors["lm_head.weight"] = (dtype, shape, change(content))

    return add


def test_a_tied_head_that_is_stored_once_more_is_left_out(tmp_path: Path, q4_0_e2b: Path, plain: bytes) -> None:
    folder = copy(q4_0_e2b, tmp_path / "twice", head(lambda content: content))
    assert "equal to it, byte for byte" in open_checkpoint(folder).left_out["lm_head.weight"]
    assert converted(folder, tmp_path / "x.litertlm") == plain
    assert Folder(folder).floats == Folder(q4_0_e2b).floats


def test_a_tied_head_that_is_another_one_is_refused(tmp_path: Path, q4_0_e2b: Path) -> None:
    folder = copy(q4_0_e2b, tmp_path / "other", head(lambda content: content[:-1] + bytes([content[-1] ^ 1])))
    message = refusal(folder)
    rows = open_checkpoint(q4_0_e2b).text.config.vocab
    assert f"row {rows - 1} of tensor lm_head.weight is not that of {DECODER}embed_tokens.weight" in message
    assert "Set tie_word_embeddings to false if the model was trained with a head of its own" in message
    with pytest.raises(InputError, match=r"lm_head\.weight is another one"):
        _ = Folder(folder).names


def test_a_packed_head_beside_tied_weights_is_refused(tmp_path: Path, mobile_e2b: Path) -> None:
    folder = configure(copy(mobile_e2b, tmp_path / "tied"), lambda config: config.update(tie_word_embeddings=True))
    assert "unexpected tensor 'lm_head." in refusal(folder)


def wider(tensors: Tensors) -> None:
    """bfloat16 as float32, which is exact: two zero bytes before each number."""
    for name, (_, shape, content) in tensors.items():
        wide = np.frombuffer(content, "<u2").astype("<u4") << 16
        tensors[name] = ("F32", shape, wide.tobytes())


def half(tensors: Tensors) -> None:
    """The matrices as float16, which the fixture's numbers allow: they are no smaller than its least normal number."""
    for name, (_, shape, content) in tensors.items():
        if len(shape) == 2:
            wide = (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
            with np.errstate(over="ignore"):
                narrow = wide.astype("<f2")
            if np.array_equal(narrow.astype("<f4"), wide):
                tensors[name] = ("F16", shape, narrow.tobytes())


@pytest.mark.parametrize("change", [wider, half])
def test_the_same_numbers_in_another_type_give_the_same_file(
    tmp_path: Path, q4_0_e2b: Path, plain: bytes, change: Callable[[Tensors], None]
) -> None:
    folder = copy(q4_0_e2b, tmp_path / "saved anew", change)
    opened = open_checkpoint(folder)
    narrowed = [getattr(each, "stored", each) for each in (*opened.text.quants.values(), *opened.text.floats.values())]
    assert sum(isinstance(each, NarrowedFloats) for each in narrowed) > 10
    assert converted(folder, tmp_path / "x.litertlm") == plain


@pytest.mark.parametrize("change", [wider, half])
def test_the_judge_reads_them_too(
    tmp_path: Path, q4_0_e2b: Path, plain: bytes, change: Callable[[Tensors], None]
) -> None:
    from runtime_tests.kinds import open_case
    from runtime_tests.ladder import climb

    (tmp_path / "x.litertlm").write_bytes(plain)
    folder = copy(q4_0_e2b, tmp_path / "saved anew", change)
    (rung,) = climb(open_case(tmp_path / "x.litertlm", folder), ("0",), lambda step: None)
    assert rung.status == "pass", rung


def spoilt(name: str, row: int) -> Callable[[Tensors], None]:
    """One number, in the row, that no bfloat16 holds."""

    def change(tensors: Tensors) -> None:
        wider(tensors)
        dtype, shape, content = tensors[name]
        values = np.frombuffer(content, "<u4").reshape(shape).copy()
        values[row, 0] |= 1
        tensors[name] = (dtype, shape, values.tobytes())

    return change


@pytest.mark.parametrize("row", [0, 3])
def test_a_number_of_a_layer_that_is_no_bfloat16_is_refused_by_name(tmp_path: Path, q4_0_e2b: Path, row: int) -> None:
    name = f"{DECODER}layers.0.self_attn.q_proj.weight"
    folder = copy(q4_0_e2b, tmp_path / "finer", spoilt(name, row))
    with pytest.raises(CheckpointError, match=f"tensor {name} is F32 and holds (a number that is|numbers that are) no"):
        converted(folder, tmp_path / "x.litertlm")


def test_the_judge_sees_a_number_of_a_table_that_no_bfloat16_holds(
    tmp_path: Path, q4_0_e2b: Path, plain: bytes
) -> None:
    from runtime_tests.kinds import open_case
    from runtime_tests.ladder import climb

    (tmp_path / "x.litertlm").write_bytes(plain)
    folder = copy(q4_0_e2b, tmp_path / "finer", spoilt(f"{DECODER}embed_tokens.weight", 3))
    (rung,) = climb(open_case(tmp_path / "x.litertlm", folder), ("0",), lambda step: None)
    assert rung.status == "fail"
    with pytest.raises(CheckpointError, match=r"embed_tokens\.weight is F32 and holds a number that is no bfloat16"):
        converted(folder, tmp_path / "y.litertlm")


def test_a_float_model_is_refused_as_one_that_is_not_qat(tmp_path: Path, q4_0_e2b: Path) -> None:
    def change(tensors: Tensors) -> None:
        noise = np.random.default_rng(0)
        for name, (_, shape, _) in tensors.items():
            tensors[name] = ("F32", shape, noise.standard_normal(shape, np.float32).tobytes())

    assert "not a QAT checkpoint: none of the decoder's" in refusal(copy(q4_0_e2b, tmp_path / "float", change))


def fill(name: str, content: bytes = b"") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        (folder / name).write_bytes(content)

    return make


def with_config(**values: object) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(values))
        (folder / WEIGHTS).touch()

    return make


def nested(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "config.json").write_text("{}")


FOLDERS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "empty": (lambda folder: None, "the folder is empty", "Use google/gemma-4-{E2B,E4B}-it-qat-mobile"),
    "pickles": (
        fill("pytorch_model.bin", b"PK"),
        "the weights are in pytorch_model.bin, a pickle",
        "Save the model as safetensors",
    ),
    "a GGUF": (
        fill("gemma.gguf", b"GGUF\x03"),
        "the weights are in gemma.gguf: a GGUF file, made for llama.cpp",
        "qat-q4_0-unquantized, which holds the same lattice",
    ),
    "shards without an index": (
        fill("model-00001-of-00002.safetensors"),
        "model-00001-of-00002.safetensors is there and model.safetensors.index.json is not",
        "Download the checkpoint again",
    ),
    "a pointer": (
        fill(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "model.safetensors is a pointer of Git LFS",
        "Run git lfs pull",
    ),
    "the folder above": (nested, "config.json is missing; there is one in inner", "inner"),
    "the 12B": (with_config(model_type="gemma4_unified"), "it is a Gemma 4 of the unified kind, as the 12B is", "Use "),
    "the 26B": (
        with_config(model_type="gemma4", text_config={"enable_moe_block": True}),
        "it is a mixture of experts, as Gemma 4 26B-A4B is",
        "Use google/gemma-4-{E2B,E4B}",
    ),
    "Gemma 3": (with_config(model_type="gemma3n"), "it is an older Gemma than 4", "Use google/gemma-4-{E2B,E4B}"),
    "compressed-tensors": (
        with_config(model_type="gemma4", text_config={}, quantization_config={"quant_method": "compressed-tensors"}),
        "quant_method is 'compressed-tensors'",
        "...-qat-mobile-transformers for a ...-qat-mobile-ct",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_another_kind_is_called_by_its_name(tmp_path: Path, kind: str) -> None:
    make, found, action = FOLDERS[kind]
    make(tmp_path)
    message = refusal(tmp_path)
    assert found in message
    assert action in message.partition(found)[2]


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "zip": (zipped, "it is a zip archive. Unpack it"),
    "gguf": (lambda path: path.write_bytes(b"GGUF\x03"), "it is a GGUF file"),
    "safetensors": (
        lambda path: path.write_bytes(struct.pack("<Q", 2) + b"{}"),
        "it is a .safetensors file alone. Give the folder that holds it",
    ),
    "litertlm": (lambda path: path.write_bytes(b"LITERTLM"), "it is a finished .litertlm, not a checkpoint"),
    "txt": (lambda path: path.write_text("hello"), "it is a file. Give the folder of a checkpoint"),
    "nothing": (lambda path: path.symlink_to("nowhere"), "it cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_called_by_its_name(tmp_path: Path, kind: str) -> None:
    make, words = FILES[kind]
    make(tmp_path / f"x.{kind}")
    assert words in refusal(tmp_path / f"x.{kind}")


def test_a_shard_that_the_index_does_not_name_is_refused(tmp_path: Path, mobile_e2b: Path) -> None:
    folder = copy(mobile_e2b, tmp_path / "shards")
    with (folder / WEIGHTS).open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    shutil.move(folder / WEIGHTS, folder / "model-00001-of-00001.safetensors")
    weight_map = {name: "model-00001-of-00001.safetensors" for name in header if name != "__metadata__"}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert Folder(folder).names.keys() == Folder(mobile_e2b).names.keys()
    assert open_checkpoint(folder).text.quants.keys() == open_checkpoint(mobile_e2b).text.quants.keys()
    shutil.copyfile(folder / "model-00001-of-00001.safetensors", folder / "model-00002-of-00002.safetensors")
    assert "model-00002-of-00002.safetensors is there and model.safetensors.index.json does not name it" in refusal(
        folder
    )
    assert Folder(folder).weights == ["model-00001-of-00001.safetensors"]


def test_a_shard_that_is_not_there_is_refused_by_name(tmp_path: Path, mobile_e2b: Path) -> None:
    folder = copy(mobile_e2b, tmp_path / "shards")
    (folder / WEIGHTS).unlink()
    index = {"weight_map": {f"{DECODER}norm.weight": "model-00001-of-00001.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    assert "model-00001-of-00001.safetensors is missing" in refusal(folder)
    with pytest.raises(InputError, match="model-00001-of-00001"):
        Folder(folder)
