"""Small checkpoints in the published formats, written once a session; odd sizes: see ``tests/support/checkpoints``."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from convert import demo
from tests.support.checkpoints import small
from tests.support.vision import towered

# An APK takes half a minute: the tests that are about it say so with a flag.
os.environ.setdefault("GEMMA_BRIDGE_APK", "skip")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: what two processes share out last must not take one of them a minute."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _written(factory: pytest.TempPathFactory, format: str, size: str) -> Path:
    folder = factory.mktemp("checkpoints") / f"{format}_{size}"
    small.write(folder, format, size)
    return folder


@pytest.fixture(scope="session")
def mobile_e2b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mobile format; 4 + 1 pattern, one KV head, shared tail with double-wide 2-bit MLPs, 4-bit per-layer embedding."""
    return _written(tmp_path_factory, "mobile", "e2b")


@pytest.fixture(scope="session")
def mobile_e4b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mobile format; 5 + 1 pattern, two KV heads, shared tail, 4-bit MLPs, 2-bit per-layer embedding."""
    return _written(tmp_path_factory, "mobile", "e4b")


@pytest.fixture(scope="session")
def q4_0_e2b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bfloat16 weights on the Q4_0 lattice, the dimensions of ``mobile_e2b``."""
    return _written(tmp_path_factory, "q4_0", "e2b")


@pytest.fixture(scope="session")
def q4_0_e4b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bfloat16 weights on the Q4_0 lattice, the dimensions of ``mobile_e4b``."""
    return _written(tmp_path_factory, "q4_0", "e4b")


@pytest.fixture(scope="session")
def mobile_tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mobile format, as published, with a vision tower of two layers of 8-bit linears."""
    return towered.write(tmp_path_factory.mktemp("checkpoints") / "mobile_tower", "mobile")


@pytest.fixture(scope="session")
def q4_0_tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in bfloat16, the tower on no grid and with clipped linears."""
    return towered.write(tmp_path_factory.mktemp("checkpoints") / "q4_0_tower", "q4_0")


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as a .litertlm with a short context."""
    from convert import demo
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = tmp_path_factory.mktemp("demo") / "model.litertlm"
    convert(open_checkpoint(demo.folder()), LitertOptions(context=224, prefill=(64,), cache="float32"), out, Silent())
    return out


@pytest.fixture(scope="session")
def endless_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo without its stop token: its answers go on to the end of its context of 64 tokens."""
    from convert.checkpoint import open_checkpoint
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    folder = tmp_path_factory.mktemp("endless")
    checkpoint = open_checkpoint("demo")
    # Every file of the demo names <turn|> in its way, so the settings as they were read lose it.
    kept = tuple(stop for stop in checkpoint.settings.stops if stop.text != "<turn|>")
    checkpoint.__dict__["settings"] = replace(checkpoint.settings, stops=kept)
    options = LitertOptions(context=64, prefill=(1, 16), cache="float32")
    convert(checkpoint, options, folder / "endless.litertlm", Silent())
    return folder / "endless.litertlm"


@pytest.fixture(scope="session", params=["mobile_e2b", "mobile_e4b", "q4_0_e2b", "q4_0_e4b"])
def any_checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with every known trait of Google's files, in each format and shape in turn.

    One of them comes in shards and says less of itself than Google's do: people save theirs again.
    """
    format, _, size = request.param.rpartition("_")
    folder = tmp_path_factory.mktemp("published") / str(request.param)
    saved_again = request.param == "q4_0_e4b"
    small.write_published(folder, format, size, shards=2 if saved_again else 1)
    if saved_again:
        content = json.loads((folder / "config.json").read_text())
        del content["architectures"], content["text_config"]["dtype"], content["text_config"]["use_cache"]
        (folder / "config.json").write_text(json.dumps(dict(reversed(content.items()))))
    return folder


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published, with a tokenizer of the real size, 262,144 entries, over few and thin layers."""
    folder = tmp_path_factory.mktemp("published") / "wide"
    small.write_published(folder, "mobile", "wide")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the demo to be spoilt."""
    return Path(shutil.copytree(demo.folder(), tmp_path / "spoilt"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a bundle would appear."""
    return tmp_path / "dist"
