"""Rung 3 on a file whose tokenizer is a SentencePiece model: what is wrong with it is found, in the file and in use."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.demo.writing.tokenizer import published_text
from convert.progress import Silent
from convert.targets.litert import LitertOptions, build, container, sentencepiece
from runtime_tests.litert.engine import spelling
from runtime_tests.readers.litert import sentencepiece as reader
from runtime_tests.readers.litert.litertlm import Section, open_litertlm
from tests.support.checkpoints.published import companions as published

SIZE = 1280  # the demo's


@pytest.fixture(scope="module")
def text() -> str:
    return published_text(published.vocabulary(SIZE))


@pytest.fixture
def case(text: str, tmp_path: Path) -> Any:
    """What the rung asks of a case, without a model: change ``data`` to spoil the section."""
    (tmp_path / "tokenizer.json").write_text(text, "utf-8")
    found = Tokenizer.from_str(text)
    artifact = SimpleNamespace(sections=[], one=lambda kind: SimpleNamespace(data=made.data))
    made = SimpleNamespace(
        folder=SimpleNamespace(path=tmp_path),
        artifact=artifact,
        data=sentencepiece.read(text.encode()),
        tokenize=lambda said: found.encode(said, add_special_tokens=False).ids,
        detokenize=lambda ids: found.decode(ids, skip_special_tokens=False),
    )
    artifact.sections = [Section("SP_Tokenizer", 0, 0, {}, memoryview(b""))]
    return made


def piece(data: bytes, name: str) -> int:
    """Where a piece's score begins."""
    encoded = name.encode()
    return data.index(bytes((0x0A, len(encoded))) + encoded + b"\x15") + len(encoded) + 3


def swap_scores(data: bytes) -> bytes:
    first, second = piece(data, "▁the"), piece(data, "he")
    out = bytearray(data)
    out[first : first + 4], out[second : second + 4] = data[second : second + 4], data[first : first + 4]
    return bytes(out)


def change_kind(name: str, kind: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        out = bytearray(data)
        out[piece(data, name) + 5] = kind
        return bytes(out)

    return change


def rename(data: bytes) -> bytes:
    return data.replace(b"\x0a\x05<eos>", b"\x0a\x05<eoz>")


def add_prefix(data: bytes) -> bytes:
    at = data.rindex(b"identity") + 8
    assert data[at : at + 2] == b"\x18\x00"
    return data[: at + 1] + b"\x01" + data[at + 2 :]


FAULTS: list[tuple[Callable[[bytes], bytes], str]] = [
    (swap_scores, "has no lower score than"),
    (change_kind("<|turn>", reader.NORMAL), "'<|turn>' is of kind 1, expected 4"),
    (change_kind("<0x41>", reader.NORMAL), "'<0x41>' is of kind 1, expected 6"),
    (change_kind("<unk>", reader.USER_DEFINED), "'<unk>' is of kind 4, expected 2"),
    (rename, "the pieces are not those of tokenizer.json"),
    (add_prefix, "blanks are added, removed or kept"),
    (lambda data: data[:-3], "the SentencePiece model is damaged"),
    (lambda data: data + b"\x0b", "the SentencePiece model is damaged"),
]


def test_an_untouched_model_is_the_checkpoints_tokenizer(case: Any) -> None:
    assert spelling.stored(case) == []


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=[told for _, told in FAULTS])
def test_a_model_that_is_not_the_checkpoints_is_found(case: Any, fault: Callable[[bytes], bytes], told: str) -> None:
    case.data = fault(case.data)
    assert any(told in line for line in spelling.stored(case))


def test_two_tokenizers_in_one_file_are_found(case: Any) -> None:
    case.artifact.sections.append(Section("HF_Tokenizer_Zlib", 0, 0, {}, memoryview(b"")))
    assert spelling.stored(case) == ["two tokenizers"]


def spelled(case: Any, data: bytes, folder: Path) -> list[str]:
    """What the stock engine makes of the whole vocabulary with this model, as the rung tells it."""
    import litert_lm

    out = folder / "model.litertlm"
    section = container.Section("SP_Tokenizer", {}, lambda file: file.write(data))
    build.build(open_checkpoint(demo.folder()), LitertOptions(context=64, prefill=(16,)), out, Silent(), section)
    assert [s.kind for s in open_litertlm(out).sections].count("SP_Tokenizer") == 1
    said = spelling.texts(case)
    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    with litert_lm.Engine(str(out), backend=litert_lm.Backend.CPU(thread_count=1), cache_dir=str(folder)) as engine:
        assert engine.bos_token_id == 2
        ids = [list(engine.tokenize(each)) for each in said]
        return spelling.differing(case, said, ids, [engine.detokenize(each) for each in ids])


def test_the_stock_engine_splits_and_joins_the_whole_vocabulary_as_the_library_does(case: Any, tmp_path: Path) -> None:
    assert spelled(case, case.data, tmp_path) == []
    names = {*json.loads((case.folder.path / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]} - {"<unk>"}
    whole = "".join(spelling.texts(case))
    assert [name for name in sorted(names) if name.replace("▁", " ") not in whole] == []


def test_the_stock_engine_shows_a_wrong_order_and_a_token_that_is_not_found_in_text(case: Any, tmp_path: Path) -> None:
    found, backwards = reader.read(case.data), bytearray(case.data)
    for name, score, kind in zip(found.names, found.scores, found.kinds, strict=True):
        if kind == reader.NORMAL and len(name) > 1:
            at = piece(case.data, name)
            backwards[at : at + 4] = struct.pack("<f", -1000 - score)
    for number, data in enumerate((bytes(backwards), change_kind("<|turn>", reader.CONTROL)(case.data))):
        (tmp_path / str(number)).mkdir()
        wrong = spelled(case, data, tmp_path / str(number))
        assert wrong
        assert "expected" in wrong[0]
