"""``just bench peers``: what is refused, which prompts are run, and how runs become the table's figures."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from convert.child import StageError
from convert.errors import CheckpointError, PlanError
from convert.pipeline import Measure
from tests.bench.peers import command, exporter, report, sides, turns
from tests.bench.peers.figures import Run, Side, Spread, of, ratio, share, spread
from tests.bench.peers.machine import Machine


def run(decode: float, ready: float = 1.0) -> Run:
    return Run(ready=ready, first=0.5, prefill=10 * decode, decode=decode, resident=int(decode * 1e6))


OURS = Side("ours", 2_000_000_000, 800_000_000, run(9.0, ready=7.0), (run(20.0), run(10.0), run(12.0)))
# The machine was busy in the second round, for both.
THEIRS = Side("theirs", 4_000_000_000, 1_600_000_000, run(1.0, ready=3.0), (run(10.0), run(2.5), run(8.0)))


def found(*settings: report.Setting) -> report.Report:
    here = Machine("a processor", 2, 0.0, (), Spread(10e9, 9e9, 11e9), Spread(16e9, 15e9, 17e9))
    converted = report.Converted(1024, Measure("convert", 9.0, 700_000_000), 2_000_000_000, 830_000_000)
    return report.Report("a model", 64, 2, 3, here, (converted,), settings, "AVX2 = 1", ("export_hf: not run: why",))


def test_a_median_stands_with_the_least_and_the_most() -> None:
    assert spread([3.0, 1.0, 8.0, 4.0]) == Spread(3.5, 1.0, 8.0)


def test_the_first_start_counts_in_no_median() -> None:
    assert of(OURS, "decode") == Spread(12.0, 10.0, 20.0)
    assert of(OURS, "ready") == Spread(1.0, 1.0, 1.0)


def test_a_ratio_is_that_of_runs_of_one_round() -> None:
    # Of the medians it would be 12 / 8 = 1.5, of the extremes anything between 1 and 8.
    assert ratio(OURS, THEIRS, "decode") == Spread(2.0, 1.5, 4.0)


def test_decoding_is_set_beside_what_memory_gives() -> None:
    assert share(OURS, 16e9) == pytest.approx(12.0 * 0.8 / 16)


def test_the_table_says_medians_ranges_ratios_and_what_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # without a terminal 80 are taken, and cells wrap
    lines = report.text(found(report.Setting(1024, 512, (OURS, THEIRS)))).splitlines()
    assert "export_hf: not run: why" in lines
    assert "two read 16.0 GB/s (15.0 - 17.0)" in " ".join(lines)
    rows = {name: cells for name, *cells in (re.split(r"  +", line) for line in lines)}
    assert rows["decode, tokens/s"] == ["12.00 (10.00 - 20.00)", "8.00 (2.50 - 10.00)", "2.00 (1.50 - 4.00)"]
    assert rows["decode moves, of what two threads read"] == ["60 %", "80 %"]
    assert rows["ready at the first start, s"] == ["7.0", "3.0"]


def test_the_data_hold_every_run_and_what_the_table_says() -> None:
    data = json.loads(json.dumps(report.data(found(report.Setting(1024, 512, (OURS, THEIRS))))))
    (setting,) = data["settings"]
    assert [one["decode"] for one in setting["sides"][0]["runs"]] == [20.0, 10.0, 12.0]
    assert setting["sides"][0]["start"]["ready"] == 7.0
    assert setting["sides"][0]["share_of_two_threads"] == pytest.approx(0.6)
    assert setting["ratios"]["theirs"]["decode"] == {"median": 2.0, "least": 1.5, "most": 4.0}


@pytest.mark.parametrize(
    ("context", "kinds", "expected"),
    [
        (1024, "short", (512,)),
        (1024, "both", (512,)),
        (1024, "filled", (512,)),
        (4096, "short", (512,)),
        (4096, "both", (512, 3456)),
        (4096, "filled", (3456,)),
    ],
)
def test_a_prompt_fills_the_context_where_that_is_asked_and_makes_a_difference(
    context: int, kinds: str, expected: tuple[int, ...]
) -> None:
    assert turns.prompts(context, kinds) == expected


# A runtime that reads for a while, and decodes faster with every answer.
PEER = """
import json, sys, time
words, decode = sys.argv[1:], 1.0
assert words[:4] == ["4096", "3456", "64", "2"], words
for name in words[4:]:
    open(name, "a").write("begins ")
    time.sleep(0.2)
    open(name, "a").write("has read ")
while True:
    told = {"ready": 1.0, "first": 9.0, "prefill": 384.0, "decode": decode * %s}
    told |= {"system": " AVX2 = 1 | ", "version": "1"}
    print(json.dumps(told), flush=True)
    decode += 1
    if not sys.stdin.readline():
        break
sys.exit(%s)
"""


def peer(decode: float, code: int, *told: str) -> sides.Runtime:
    return sides.Runtime(f"times {decode}", (sys.executable, "-c", PEER % (decode, code)), 10, 5, told)


def test_a_long_prompt_is_read_once_and_every_round_answers_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    said = list[str]()
    rounds = turns._Rounds(3, dict(os.environ), said.append)
    monkeypatch.setattr(rounds.bandwidth, "probe", lambda env: None)
    mine, theirs = rounds.run_once_read([peer(10.0, 0, str(told)), peer(1.0, 0, str(told))], 4096, 3456)
    assert told.read_text() == 2 * "begins has read "  # one after the other
    assert [one.decode for one in (mine.start, *mine.runs)] == [10.0, 20.0, 30.0, 40.0]
    assert ratio(mine, theirs, "decode") == Spread(10.0, 10.0, 10.0)
    assert {one.prefill for one in (mine.start, *mine.runs)} == {384.0}
    assert 1e6 < mine.runs[0].resident < 1e9
    assert rounds.system == "AVX2 = 1 (llama-cpp-python 1)"
    asked = [line.partition(", prompt 3456, ")[2] for line in said]
    assert asked[:4] == [f"{what}: times {n}" for what in ("reads its prompt", "round 1 of 3") for n in (10.0, 1.0)]
    assert "read once, then each round 64 tokens: median of 3 rounds" in report.text(
        found(report.Setting(4096, 3456, (mine, theirs), once=True))
    ).replace("\n", " ")


def test_a_runtime_that_ends_badly_ends_the_comparison() -> None:
    rounds = turns._Rounds(0, dict(os.environ), lambda line: None)
    with pytest.raises(StageError, match=r"times 1\.0 ended with exit code 3"):
        rounds.run_once_read([peer(1.0, 3)], 4096, 3456)
    with pytest.raises(StageError, match=r"times 1\.0 ended with exit code 1"):
        rounds.run_once_read([peer(1.0, 0)], 4096, 3457)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--prompts", "filled", "--rounds", "9"),
            "--prompts filled with --rounds 9: what a context has left is enough for 8",
        ),
        (("--contexts", "1024,12"), "1024,12: each once, and at least 576"),
        (("--contexts", "1024,1024"), "1024,1024: each once"),
        (("--contexts", "many"), "'many' is no number from 1 on"),
        (("--rounds", "0"), "'0' is no number from 1 on"),
        (("--peer", "ollama"), "'ollama'"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.peers(list(words))
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n"), said in told) == (2, 1, True)


def test_a_folder_that_is_no_checkpoint_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read \(No such file"):
        command.peers([str(tmp_path / "none"), "--out", str(out)])
    (tmp_path / "config.json").write_text('{"text_config": {"model_type": "gemma3_text"}}')
    with pytest.raises(CheckpointError, match="does not describe a Gemma 4 text decoder"):
        command.peers([str(tmp_path), "--out", str(out)])
    assert not out.exists()


def test_another_models_file_is_not_taken_for_this_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides.venvs, "python", lambda extra: Path("no-python"))
    config, file = tmp_path / "config.json", tmp_path / "peer.gguf"
    config.write_text("{}")
    file.write_bytes(b"GGUF")
    with pytest.raises(PlanError, match=r"was not written for this checkpoint's config\.json"):
        sides.llama_cpp(config, file, {})
    assert file.read_bytes() == b"GGUF"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_exporter_that_takes_too_much_memory_is_ended_and_that_is_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = "import sys, time; x = bytearray(b'x') * (200 << 20); time.sleep(60)"
    text = {"num_hidden_layers": 35, "hidden_size": 1536}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": text}))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{greedy}"\n')
    python.chmod(0o700)
    monkeypatch.setattr(exporter.venvs, "python", lambda extra: python)
    monkeypatch.setattr(exporter, "stage", lambda name, command, env: None)
    said = exporter.export(tmp_path, tmp_path, 150_000_000, dict(os.environ))
    assert said.startswith("litert-torch export_hf e2b: ended by us beyond 150.00 MB of memory; ")
    python.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    said = exporter.export(tmp_path, tmp_path, 150_000_000, dict(os.environ))
    assert said.startswith("litert-torch export_hf e2b: ended with code 3: no such option; ")


def test_an_exporter_gets_floats_of_known_shapes_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"text_config": {"num_hidden_layers": 3, "hidden_size": 64}}')
    assert "not run: floats are written in the shapes of e2b, e4b alone" in exporter.export(tmp_path, tmp_path, 1, {})
