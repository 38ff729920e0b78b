"""Public question sets, as people have them in files, to the JSONL that ``--evaluation`` takes.

A set's own file in this folder knows its fields: ``gsm8k.py`` and ``choice.py``. Nothing is downloaded.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from convert import outputs
from convert.errors import PlanError
from convert.inspection.questions import check_given
from convert.questions.rows import Row, read_rows

KINDS = ("gsm8k", "choice")
Lines = Callable[[Iterator[Row]], tuple[dict[str, Any], list[dict[str, Any]]]]


def convert(kind: str, source: Path, out: Path, max_tokens: int | None = None) -> int:
    """Writes an evaluation file; gives the number of its questions. ``out`` is written whole or not at all.

    Args:
        kind: one of ``KINDS``.
        max_tokens: tokens of an answer; by default what is usual for the kind.

    Raises:
        ConvertError: the file holds no such questions, or ``out`` is something else; names line and field.
    """
    asked = f"questions {kind} {source}"
    if kind not in KINDS:
        raise PlanError(asked, f"there is no kind {kind!r}", f"Use one of: {', '.join(KINDS)}")
    outputs.check_questions_file(out, asked)
    lines: Lines = importlib.import_module(f"convert.questions.{kind}").lines
    common, found = lines(read_rows(source, asked))
    if not found:
        raise PlanError(asked, f"{source.name} holds no questions", "Give a file with a question in each row")
    if max_tokens is not None:
        common = {**common, "max_tokens": max_tokens}
    part = out.with_name(f".{out.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()  # of a run that was killed
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8") as file:
            for line in ({"defaults": common}, *found):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        check_given(source.parent, asked, part)
        part.replace(out)
    except OSError as error:
        raise PlanError(asked, f"{out} cannot be written ({error.strerror})", "Give another path") from error
    except UnicodeEncodeError as error:  # half of a surrogate pair
        found_text = f"{source.name} holds a character that is none ({error.object[error.start]!a})"
        raise PlanError(asked, found_text, "Save it as UTF-8") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return len(found)
