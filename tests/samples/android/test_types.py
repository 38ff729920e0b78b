"""The Gradle-only half of the Android sample: Kotlin that needs Google's library, held to its published signatures."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from convert.apk import code, resources
from convert.apk.build import MAIN, SAMPLE
from convert.apk.pieces import ApkUnavailableError
from convert.apk.toolchain import Toolchain, ToolError, toolchain
from convert.progress import Silent

ENGINE = ("core/src/main/kotlin", "engine-aar/src/main/kotlin")
APP = ("app/src/main/kotlin", "app/src/gpu/kotlin")
STUBS = Path(__file__).parents[2] / "support" / "android" / "kotlin_stubs" / "LiteRtLm.kt"


@pytest.fixture(scope="module")
def tools() -> Toolchain:
    try:
        return toolchain(Silent())
    except ApkUnavailableError as error:
        pytest.skip(str(error))


def kotlin(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((SAMPLE / folder).rglob("*.kt"))]


def test_the_gpu_flavour_agrees_with_the_published_signatures(tools: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "res").mkdir()
    resources.link(tools, SAMPLE / MAIN, tmp_path / "res")
    table = tmp_path / "R.kt"
    table.write_text(resources.numbers((tmp_path / "res" / "R.txt").read_text("utf-8")), "utf-8")
    code.compile_kotlin(tools, [*kotlin(*ENGINE, *APP), table, STUBS], tmp_path / "out.jar", tmp_path)
    with zipfile.ZipFile(tmp_path / "out.jar") as made:
        assert {"dev/gemmabridge/aar/AarEngine.class", "dev/gemmabridge/sample/Engines.class"} <= set(made.namelist())


def test_a_signature_that_changed_is_noticed(tools: Toolchain, tmp_path: Path) -> None:
    stubs = STUBS.read_text("utf-8")
    changed = tmp_path / "LiteRtLm.kt"
    changed.write_text(re.sub(r"\n *val maxNumTokens: Int\? = null,", "", stubs), "utf-8")
    assert changed.read_text("utf-8") != stubs
    with pytest.raises(ToolError, match="maxNumTokens"):
        code.compile_kotlin(tools, [*kotlin(*ENGINE), changed], tmp_path / "out.jar", tmp_path)
