"""A random drafter of the size that is published for E2B and E4B: its dimensions, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from convert.checkpoint.config import read_config
from convert.checkpoint.drafter import check_small
from convert.demo.writing.config import model_config
from tests.support.checkpoints.shapes import E2B, E4B, Shape
from tests.support.drafter import fullsize
from tests.support.drafter.assistant import file_bytes, write_published

VOCAB = 4096  # instead of 262,144: two tokens of each group


def config_alone(folder: Path, shape: Shape = E2B) -> Path:
    """A model without its weights, and with few tokens."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model_config(replace(shape, vocab=VOCAB), "mobile")), "utf-8")
    return folder


@pytest.mark.parametrize(("shape", "lattice"), [(E2B, False), (E4B, True)])
def test_it_fits_its_model_and_is_written_alike_every_time(shape: Shape, lattice: bool, tmp_path: Path) -> None:
    model, digests = config_alone(tmp_path / "model", shape), set()
    for name in ("one", "other"):
        folder = write_published(tmp_path / name, model, lattice=lattice)
        digests.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())))
    assert len(digests) == 1
    check_small(folder, read_config(model))


def test_with_e2bs_vocabulary_its_file_is_as_large_as_the_published_one(tmp_path: Path) -> None:
    """google/gemma-4-E2B-it-qat-q4_0-unquantized-assistant at ebc7e1a2: names, shapes and dtypes make its size."""
    model = config_alone(tmp_path / "model")
    config = json.loads((write_published(tmp_path / "drafter", model) / "config.json").read_text("utf-8"))
    assert config["use_ordered_embeddings"]
    config["text_config"]["vocab_size"] = E2B.vocab
    assert file_bytes(config) == 157_565_344


def test_a_folder_without_a_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fullsize", str(tmp_path), "q4_0", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        fullsize.main()
    assert ended.value.code == 2
    assert "holds no config.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
