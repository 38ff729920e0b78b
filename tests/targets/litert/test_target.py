"""The `.litertlm` that comes out: tables, cache writes, container, metadata."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from convert.checkpoint import open_checkpoint, with_digests
from convert.errors import CheckpointError
from convert.lattice import dequantize
from convert.progress import Silent
from convert.targets.litert import LitertOptions, container, convert, embedder, metadata
from convert.targets.litert.decoder import decoder
from convert.targets.litert.graph import Model
from convert.targets.litert.signature import signatures
from tests.support.checkpoints.modules import with_text
from tests.support.litert.tools import packed, runner

CONTEXT = 48


@pytest.mark.parametrize("name", ["mobile_e2b", "mobile_e4b", "q4_0_e2b"])
def test_looked_up_rows_are_bit_equal_to_the_checkpoint(name: str, request: pytest.FixtureRequest) -> None:
    checkpoint = open_checkpoint(request.getfixturevalue(name))
    config = checkpoint.text.config
    tables = {
        "embed_tokens": (embedder.embedder, "embedder", config.hidden),
        "embed_tokens_per_layer": (embedder.per_layer_embedder, "per_layer_embedder", config.per_layer_width),
    }
    for key, (make, signature, width) in tables.items():
        run = runner(make(checkpoint), signature)
        for token in (0, 106, config.vocab - 1):
            if key in checkpoint.text.quants:
                table = checkpoint.text.quants[key]
                row = dequantize(table.codes(token, token + 1), table.scales(token, token + 1))
            else:
                row = checkpoint.text.floats[f"{key}.weight"].float32(token, token + 1)
            found = run(token_ids=np.array([[token]], np.int32))["embeddings"]
            assert np.array_equal(found.reshape(1, -1), row * np.float32(width**0.5))


def _step(
    run: object, length: int, count: int, start: int, seed: int, shapes: dict[str, tuple[int, ...]], cache: dict
) -> dict:
    """One call as the engine makes it: padding has position 0 and sees nothing."""
    random = np.random.default_rng(seed)
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name in ("embeddings", "per_layer_embeddings"):
        inputs[name][:, :count] = random.standard_normal((1, count, *shapes[name][2:]))
    positions = np.zeros(length, np.int32)
    positions[:count] = np.arange(start, start + count)
    mask = np.full((1, 1, length, CONTEXT), -0.7 * np.finfo(np.float32).max, np.float32)
    for i in range(count):
        mask[0, 0, i, : start + i + 1] = 0
    return run(**inputs, input_pos=positions, mask=mask, **cache)


@pytest.mark.parametrize("cache", ["float32", "int8"])
def test_a_padded_chunk_at_the_end_of_the_context_moves_no_row(mobile_e2b: Path, cache: str) -> None:
    """16 rows from position 40 of 48 do not fit; the operator alone would shift them down to 32, and the padding of
    eight would come round in a ring."""
    checkpoint = open_checkpoint(mobile_e2b)
    options = LitertOptions(CONTEXT, (8, 16), cache)
    entries = signatures(checkpoint.text.config, CONTEXT, options.prefill, cache)
    content = packed(decoder(checkpoint, entries, options))
    found = {}
    for entry in entries[:2]:
        shapes = {t.name: t.shape for t in entry.inputs if t.name.endswith("embeddings")}
        empty = {
            t.name: np.full(t.shape, 3, t.dtype) if t.dtype == "int8" else np.full(t.shape, 0.25, t.dtype)
            for t in entry.inputs
            if t.name.startswith("kv_cache")
        }
        found[entry.length] = _step(runner(content, entry.name), entry.length, 8, 40, 1, shapes, empty)
    last = max(int(name.rsplit("_", 1)[1]) for name in found[8])
    assert last == len(checkpoint.text.config.owners) - 1
    for name, exact in found[8].items():
        padded = found[16][name]
        axis = 2 if "_k_" in name else 3
        length = exact.shape[axis]
        written = [position % length for position in range(40, 48)]
        kept = np.take(padded, sorted(set(range(length)) - set(written)), axis)
        assert (kept == (3 if cache == "int8" else 0.25)).all()
        assert np.allclose(np.take(padded, written, axis), np.take(exact, written, axis), atol=1e-4)
        assert not np.allclose(np.take(padded, written[:1], axis), np.take(kept, [0], axis))


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(mobile_e2b: Path, tmp_path: Path) -> None:
    digests = []
    for where in ("a", "somewhere/else"):
        folder = shutil.copytree(mobile_e2b, tmp_path / where / "model")
        checkpoint = with_digests(open_checkpoint(folder))
        out = tmp_path / f"{len(digests)}.litertlm"
        convert(checkpoint, LitertOptions(CONTEXT, (8,)), out, Silent())
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("table", ["embed_tokens", "per_layer_model_projection"])
def test_a_number_that_is_not_finite_is_refused_by_name_and_row(q4_0_e2b: Path, tmp_path: Path, table: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(q4_0_e2b, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors[f"model.language_model.{table}.weight"][7, 3] = float("inf")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{table}.*row 7 holds a number that is not finite"):
        convert(open_checkpoint(folder), LitertOptions(CONTEXT, (8,)), tmp_path / "out", Silent())


def test_sections_begin_on_block_boundaries_and_hold_what_was_written(tmp_path: Path) -> None:
    from runtime_tests.readers.litert.litertlm import open_litertlm

    path = tmp_path / "model.litertlm"
    sections = [
        container.Section("GenericBinaryData", {"b": "2", "a": "1"}, lambda file: file.write(b"x" * 20_000)),
        container.Section("GenericBinaryData", {}, lambda file: file.write(b"y")),
    ]
    with path.open("wb") as file:
        container.write(file, sections, "ab" * 32, {})
    content, found = path.read_bytes(), open_litertlm(path).sections
    assert [s.begin % container.BLOCK for s in found] == [0, 0]
    assert [content[s.begin : s.end] for s in found] == [b"x" * 20_000, b"y"]
    assert b"1970-01-01" in content[: container.BLOCK]


def test_stop_tokens_are_all_those_of_generation_config_ascending(mobile_e2b: Path) -> None:
    from litert_lm_builder.runtime.proto import llm_metadata_pb2

    message = llm_metadata_pb2.LlmMetadata.FromString(metadata.llm_metadata(mobile_e2b, LitertOptions(64, (8,))))
    assert [list(stop.token_ids.ids) for stop in message.stop_tokens] == [[1], [50], [106]]
    assert message.llm_model_type.WhichOneof("model_type") == "gemma4"
    assert list(message.start_token.token_ids.ids) == [2]
    assert message.max_num_tokens == 64
    assert (message.sampler_params.k, round(message.sampler_params.p, 2)) == (64, 0.95)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("generation_config.json", None, "there is no generation_config.json"),
        ("generation_config.json", "{", "generation_config.json is not valid JSON"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json holds a list, not an object"),
        ("chat_template.jinja", None, "there is no chat_template.jinja"),
    ],
)
def test_missing_metadata_is_refused_by_name(
    mobile_e2b: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    folder = shutil.copytree(mobile_e2b, tmp_path / "model")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        metadata.llm_metadata(folder, LitertOptions(64, (8,)))


def test_the_renderer_gets_no_python_only_template_syntax(mobile_e2b: Path, tmp_path: Path) -> None:
    from litert_lm_builder.runtime.proto import llm_metadata_pb2

    folder = shutil.copytree(mobile_e2b, tmp_path / "model")
    body = "{%- generation -%}{{ message.get('content') }}{%- endgeneration -%}"
    (folder / "chat_template.jinja").write_text(f"{{% for message in messages %}}{body}{{% endfor %}}")
    written = llm_metadata_pb2.LlmMetadata.FromString(metadata.llm_metadata(folder, LitertOptions(64, (8,))))
    packed = written.jinja_prompt_template
    told = "{%- with -%}{{ ([message['content'], none]|select('defined')|first) }}{%- endwith -%}"
    assert packed.endswith(f"{{% for message in messages %}}{told}{{% endfor %}}")


def test_an_operator_that_the_target_lacks_is_named() -> None:
    from convert.targets.litert.emit import symbol

    x = symbol(Model().subgraph("main").input("x", (1, 4), "float32"))
    with pytest.raises(NotImplementedError, match=r"no operation for .*erf"):
        torch.erf(x)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="power 3"):
        x.pow(3)
    with pytest.raises(NotImplementedError, match=r"index slice\(0, 1, None\)"):
        x[0:1]
    with pytest.raises(NotImplementedError, match="softmax over another dimension than the last"):
        torch.softmax(x, dim=0)  # type: ignore[call-overload]


def test_an_input_cannot_be_an_output() -> None:
    graph = Model().subgraph("main")
    value = graph.input("x", (1,), "float32")
    with pytest.raises(ValueError, match="output y must be a tensor of its own"):
        graph.output("y", value)


def test_integers_with_a_scale_for_each_block_are_lowered_as_those_of_a_lattice(q4_0_e4b: Path, tmp_path: Path) -> None:
    """How a target multiplies follows from the scales, not from how a format stores them."""
    checkpoint, made = open_checkpoint(q4_0_e4b), []
    assert min(tensor.groups for tensor in checkpoint.text.quants.values()) > 1
    for stored in ("rounded lattice", "integers"):
        out = tmp_path / f"{stored}.litertlm"
        convert(with_text(checkpoint, stored=stored), LitertOptions(CONTEXT, (8,), "float32"), out, Silent())
        made.append(out.read_bytes())
    assert made[0] == made[1]
