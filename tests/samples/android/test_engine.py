"""The Android sample's Kotlin core and C shim with the real engine, on this machine: the demo loads, says what the
reference says, streams, stops, and is closed in mid-answer without a crash or a leak."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from convert import checkpoint as converted
from convert import demo
from convert.checkpoint.drafter import locate, open_drafter
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report import golden
from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import ANDROID, Outcome
from tests.support.litert.damaged import damaged
from tests.support.litert.packing import packings

FOLDER, SUITE, DRAFTER = "engine-jni/src/test/kotlin", "EngineSuite", "DrafterSuite"
CYCLES = 200
C = sorted((ANDROID / "engine-jni" / "src" / "main" / "c").glob("*.[ch]"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stock engine's library for Linux is needed")


@pytest.fixture(scope="module")
def outcome(demo_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("android")
        shim = kotlin_tools.shim(work)
        classes = kotlin_tools.compiled()
        goldens = golden.dump(golden.golden(LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder()))))
        (work / "golden.json").write_text(goldens, "utf-8")
        (work / "cache").mkdir()
        (work / "damaged.litertlm").write_bytes(damaged(demo_file))
        files = (kotlin_tools.engine_library(), shim, demo_file, work / "golden.json", work / "cache")
        return kotlin_tools.suite(
            classes, SUITE, *files, str(CYCLES), work / "damaged.litertlm", flags=("-Xcheck:jni",)
        )

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("drafted")
        shim, classes = kotlin_tools.shim(work), kotlin_tools.compiled()
        checkpoint = open_drafter(locate("demo"), converted.open_checkpoint("demo"))
        convert(checkpoint, LitertOptions(context=224, prefill=(64,)), work / "model.litertlm", Silent())
        (work / "cache").mkdir()
        files = (kotlin_tools.engine_library(), shim, work / "model.litertlm", work / "cache")
        return kotlin_tools.suite(classes, DRAFTER, *files, *map(str, packings(checkpoint)), flags=("-Xcheck:jni",))

    return kotlin_tools.once(tmp_path_factory, DRAFTER, run)


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, DRAFTER))
def test_drafter(drafted: Outcome, case: str) -> None:
    assert kotlin_tools.failure(drafted, case) == ""


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_engine(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""


def test_the_virtual_machine_finds_nothing_wrong_with_the_shim(outcome: Outcome) -> None:
    """``-Xcheck:jni`` warns of pending exceptions, wrong references and locals that are not freed."""
    assert "WARNING" not in outcome.ended
    assert "FATAL" not in outcome.ended


def test_every_native_method_has_its_function_and_every_function_its_method() -> None:
    kotlin = (ANDROID / "engine-jni/src/main/kotlin/dev/gemmabridge/jni/Native.kt").read_text("utf-8")
    declared = re.findall(r"external fun (\w+)\(", kotlin)
    defined = [name for path in C for name in re.findall(r"^NATIVE\(\w+, (\w+)\)", path.read_text("utf-8"), re.M)]
    assert sorted(declared) == sorted(defined)


def test_the_shim_needs_three_functions_of_libc_and_no_header_of_it() -> None:
    """On Android it is compiled without a sysroot."""
    text = "\n".join(path.read_text("utf-8") for path in C)
    assert set(re.findall(r"#include <([\w.]+)>", text)) <= {"jni.h", "stdbool.h", "stddef.h", "stdint.h"}
    assert not re.findall(r"\b(?:printf|memcpy|memset|strcpy|pthread_\w+|calloc|realloc)\(", text)
