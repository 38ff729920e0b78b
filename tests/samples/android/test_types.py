"""The Gradle-only half of the Android sample: Kotlin that needs Google's library, held to its published signatures."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from convert.apk import code, resources
from convert.apk.build import MAIN, SAMPLE
from convert.apk.pieces import ApkUnavailableError
from convert.apk.toolchain import Toolchain, ToolError, toolchain
from convert.progress import Silent
from tests.support.android import kotlin_tools

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


def resource_numbers(tools: Toolchain, folder: Path) -> Path:
    (folder / "res").mkdir()
    resources.link(tools, SAMPLE / MAIN, folder / "res")
    table = folder / "R.kt"
    table.write_text(resources.numbers((folder / "res" / "R.txt").read_text("utf-8")), "utf-8")
    return table


def test_the_gpu_flavour_agrees_with_the_published_signatures(tools: Toolchain, tmp_path: Path) -> None:
    sources = [*kotlin(*ENGINE, *APP), resource_numbers(tools, tmp_path), STUBS]
    code.compile_kotlin(tools, sources, tmp_path / "out.jar", tmp_path)
    with zipfile.ZipFile(tmp_path / "out.jar") as made:
        assert {"dev/gemmabridge/aar/AarEngine.class", "dev/gemmabridge/sample/Engines.class"} <= set(made.namelist())


def test_a_signature_that_changed_is_noticed(tools: Toolchain, tmp_path: Path) -> None:
    stubs = STUBS.read_text("utf-8")
    changed = tmp_path / "LiteRtLm.kt"
    changed.write_text(re.sub(r"\n *val maxNumTokens: Int\? = null,", "", stubs), "utf-8")
    assert changed.read_text("utf-8") != stubs
    with pytest.raises(ToolError, match="maxNumTokens"):
        code.compile_kotlin(tools, [*kotlin(*ENGINE), changed], tmp_path / "out.jar", tmp_path)


def test_the_onnx_flavour_agrees_with_its_engine(tools: Toolchain, tmp_path: Path) -> None:
    """The engine itself is compiled against ONNX Runtime's published signatures with all others: ``kotlin_tools``."""
    app = ("app/src/main/kotlin", "app/src/onnx/kotlin")
    sources = [*kotlin(*app), resource_numbers(tools, tmp_path)]
    done = kotlin_tools.kotlinc(sources, tmp_path / "out", tools.android_jar, kotlin_tools.compiled())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out/dev/gemmabridge/sample/Engines.class").is_file()


CHANGES = {
    "OnnxTensor": ("LongBuffer data", "int[] data", "actual type is 'LongBuffer!'"),
    "OrtSession": ("Optional<OnnxValue> get", "OnnxValue find", "unresolved reference 'get'"),
    "OnnxModelMetadata": ("getCustomMetadata", "getMore", "field customMetadata"),
}


def test_a_signature_of_onnx_runtime_that_changed_is_noticed(tmp_path: Path) -> None:
    stubs = Path(shutil.copytree(kotlin_tools.JAVA_STUBS, tmp_path / "stubs"))
    for name, (old, new, _) in CHANGES.items():
        (path,) = stubs.rglob(f"{name}.java")
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
    sources = [*kotlin("engine-ort/src/main/kotlin"), *sorted(stubs.iterdir())]
    done = kotlin_tools.kotlinc(sources, tmp_path / "out", kotlin_tools.compiled())
    said = done.stdout + done.stderr
    assert done.returncode != 0
    for _, _, word in CHANGES.values():
        assert word in said, said
