"""``just bench image``: which image and which text are sent, and how messages become the table's figures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from convert.errors import ArtifactError
from convert.image_tokens import IMAGE_ROWS
from convert.images import size_of
from convert.progress import Silent
from tests.bench.engine import image as bench
from tests.bench.engine.budget import Budget, Turn, table
from tests.bench.engine.image import MULTIPLE, ROUNDS, sides
from tests.bench.engine.message import AROUND, content

MEGA = 1 << 20
TAKES = f"""
from tests.bench.engine.message import Memory

with Memory() as memory:
    held = bytearray(b"x") * {64 * MEGA}
    memory._look()
    between = memory._seen[-1][0] - memory._seen[0][0]
    del held
    more = bytearray(b"x") * {128 * MEGA}
    memory._look()
del more
print(memory.taken(between), memory.taken())
"""
SEEN = Turn(
    wall=6.0, decoder=2.0, processor=10.0, tower=90_000_000, taken=120_000_000, prompt=82, resident=1_400_000_000
)
READ = Turn(wall=2.0, decoder=2.0, processor=3.0, tower=0, taken=20_000_000, prompt=82, resident=1_200_000_000)
# The machine was busy in the second round, for both.
BUSY = replace(SEEN, wall=18.0, decoder=6.0, processor=13.0), replace(READ, wall=9.0, decoder=9.0, processor=4.0)
LAST = replace(SEEN, wall=8.0, processor=12.0, tower=92_000_000), replace(READ, wall=2.0)
FOUND = Budget(70, 166_000_000, (SEEN, BUSY[0], LAST[0]), (READ, BUSY[1], LAST[1]))


class Engine:
    """A tokenizer to which blanks are nothing."""

    def tokenize(self, text: str) -> list[int]:
        return [1 for letter in text if letter != " "]


@pytest.mark.parametrize("tokens", IMAGE_ROWS)
def test_the_image_becomes_all_of_its_budget_and_needs_no_resizing(tokens: int) -> None:
    wide, high = sides(tokens)
    assert wide * high == tokens * MULTIPLE**2
    assert high <= wide < 2 * high
    assert size_of(wide, high, tokens, MULTIPLE) == (wide, high)


def test_the_text_is_as_long_as_the_image_with_the_two_tokens_around_it() -> None:
    image, question = content(Engine(), 70, "image.png")
    (text,) = content(Engine(), 70, None)
    assert (image["type"], image["path"], question["type"]) == ("image", "image.png", "text")
    count = Engine().tokenize
    assert len(count(text["text"])) == 70 + AROUND + len(count(question["text"]))
    assert text["text"].startswith(question["text"])


def test_images_and_texts_take_turns_and_the_first_start_counts_in_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = [
        SimpleNamespace(kind=kind, bytes=size) for kind, size in (("vision_a", 5), ("decoder", 9), ("vision_b", 2))
    ]
    target = SimpleNamespace(model="model", inspect=lambda file: SimpleNamespace(sections=sections))
    monkeypatch.setattr(bench, "all_targets", lambda: {bench.TARGET: target})
    converted, sent = list[list[str]](), list[list[str]]()

    def turn(command: list[str], env: dict[str, str]) -> Turn:
        sent.append(command[command.index("140") + 1 :])
        return replace(SEEN, wall=float(len(sent)))

    monkeypatch.setattr(bench, "stage", lambda name, command, env: converted.append(command))
    monkeypatch.setattr(bench, "_turn", turn)
    found = bench._budget("a model", 140, tmp_path, dict(os.environ), Silent())
    assert [command[-4:] for command in converted] == [["--modalities", "text,image", "--image-tokens", "140"]]
    picture = [str(tmp_path / "image.png")]
    assert sent == [picture, *([], picture) * ROUNDS]
    assert [turn.wall for turn in found.texts] == [2.0, 4.0, 6.0]
    assert [turn.wall for turn in found.images] == [3.0, 5.0, 7.0]
    assert (found.tokens, found.sections) == (140, 7)


def test_figures_are_medians_and_ratios_are_those_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    title, *lines = table("a title", [FOUND, replace(FOUND, tokens=140)]).splitlines()
    rows = {name: cells for name, *cells in (re.split(r"  +", line.strip()) for line in lines[2:] if line)}
    assert title == "a title"
    assert lines[0].split() == ["70", "tokens", "140", "tokens"]
    assert all(first == second for first, second in rows.values())
    found = {name: first for name, (first, _) in rows.items()}
    assert found == {
        "tokens read in all": "82",
        "the tower in the file": "166.00 MB",
        "from the image to its rows": "6.00 s (4.00 - 12.00)",
        "processor time of that": "9.00 s (7.00 - 9.00)",
        "first token after the image": "8.00 s (6.00 - 18.00)",
        "first token after a text as long": "2.00 s (2.00 - 9.00)",
        "times as long": "3.00 (2.00 - 4.00)",  # of the medians it would be 4
        "memory taken until the rows are there": "90.00 MB",
        "memory taken until the first token": "120.00 MB",
        "the same, of the text": "20.00 MB",
        "most resident, files included": "1.40 GB",
        "the same, of the text without a tower": "1.20 GB",
    }


def test_an_image_and_a_text_of_other_lengths_are_not_compared() -> None:
    with pytest.raises(
        ArtifactError, match=r"an image of 70 tokens and a text as long.*the engine read 80 and 82 tokens"
    ):
        Budget(70, 1, (SEEN,), (replace(READ, prompt=80),))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_is_given_back_counts_and_what_is_taken_later_does_not() -> None:
    # In a process of its own: tests before this one leave memory behind, and it is freed at any moment.
    ran = subprocess.run([sys.executable, "-c", TAKES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, most = (int(figure) for figure in ran.stdout.split())
    assert 60 * MEGA < first < 100 * MEGA
    assert 120 * MEGA < most < 180 * MEGA
