"""The iOS sample's engine with LiteRT-LM itself, on Linux: the demo loads, says what the reference says, streams,
stops, and is closed in mid-answer without a crash or a leak."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from convert import demo
from convert.checkpoint import open_checkpoint
from convert.progress import Silent
from convert.targets.litert import LitertOptions, convert
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers import checkpoint as reading
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report import golden
from tests.support.android.kotlin_tools import Outcome, engine_library, failure, once
from tests.support.chat import forged_answers
from tests.support.ios import swift_tools
from tests.support.ios.swift_tools import IOS
from tests.support.litert.damaged import damaged
from tests.support.samples.sight import seeing_model

SUITE = "LiteRTSuite"
SOURCES = IOS / "Sources"
CASE = re.compile(r'\bSuite\.run\("((?:[^"\\]|\\.)*)"\)')
CASES = [
    json.loads(f'"{name}"')
    for path in sorted((SOURCES / SUITE).glob("*.swift"))
    for name in CASE.findall(path.read_text("utf-8"))
]
CONTEXT, ENDLESS_CONTEXT, HALVES_CONTEXT = 224, 64, 96  # the first two of files that fixtures make
CYCLES = 200

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stock engine's library for Linux is needed")


def halves(folder: Path) -> Path:
    """A model that answers with the three bytes of a character, each a token of its own."""
    spelled = forged_answers.write(folder / "checkpoint", ("<0xE2>", "<0x82>", "<0xAC>"))
    options = LitertOptions(context=HALVES_CONTEXT, prefill=(16, 1), cache="float32")
    convert(open_checkpoint(spelled), options, folder / "halves.litertlm", Silent())
    return folder / "halves.litertlm"


@pytest.fixture(scope="module")
def outcome(
    demo_file: Path, endless_file: Path, mobile_tower: Path, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    swift_tools.built()

    def run() -> Outcome:
        work = tmp_path_factory.mktemp("ios")
        goldens = golden.dump(
            golden.golden(LitertCase(open_litertlm(demo_file), reading.open_checkpoint(demo.folder())))
        )
        (work / "golden.json").write_text(goldens, "utf-8")
        changed = json.loads(goldens)
        changed["goldens"][1]["text"] += "!"
        (work / "changed.json").write_text(json.dumps(changed), "utf-8")
        (work / "damaged.litertlm").write_bytes(damaged(demo_file))
        return swift_tools.suite(
            SUITE,
            engine_library(),
            demo_file,
            str(CONTEXT),
            work / "golden.json",
            work / "changed.json",
            work / "damaged.litertlm",
            endless_file,
            str(ENDLESS_CONTEXT),
            halves(work),
            str(HALVES_CONTEXT),
            work / "cache",
            str(CYCLES),
            seeing_model(mobile_tower, work),
            demo_file,
            work,
        )

    return once(tmp_path_factory, SUITE, run)


@pytest.mark.parametrize("case", CASES)
def test_engine(outcome: Outcome, case: str) -> None:
    assert failure(outcome, case) == ""


def test_the_process_ends_well(outcome: Outcome) -> None:
    assert outcome.ended.startswith("exit code 0;"), outcome.ended


def test_every_declared_function_is_looked_up_and_called() -> None:
    headers = SOURCES / "CLiteRTLM" / "include"
    declared = re.findall(r"\blitert_lm_(\w+)\(", (headers / "litert_lm.h").read_text("utf-8"))
    listed = re.findall(r"^    F\((\w+)\)", (headers / "litert_functions.h").read_text("utf-8"), re.M)
    assert sorted(declared) == sorted(listed)
    swift = "\n".join(path.read_text("utf-8") for path in (SOURCES / "GemmaLiteRT").glob("*.swift"))
    assert [name for name in listed if f"functions.{name}" not in swift] == []


def test_no_text_of_a_turn_reaches_the_engine_but_through_the_message_that_is_harmless() -> None:
    swift = "\n".join(path.read_text("utf-8") for path in (SOURCES / "GemmaLiteRT").glob("*.swift"))
    assert swift.count("turn.text") == 2  # one of them asks whether there is any
    assert "ControlTokens.harmless(turn.text)" in swift
