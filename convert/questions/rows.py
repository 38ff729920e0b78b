"""Rows of a question set: JSONL, a JSON list, the rows of Hugging Face's viewer, a JSON object of columns, or CSV."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import PlanError

MOST_BYTES, MOST_ROWS = 64 << 20, 20_000


@dataclass(frozen=True)
class Row:
    """One question as it was found.

    Attributes:
        where: file and line or row, for messages.
        fields: by name in lower case; of a CSV file without a heading by number, ``"0"`` first.
        asked: what the user wanted.
    """

    where: str
    fields: dict[str, Any]
    asked: str

    def get(self, *names: str) -> Any:
        """The first of some fields that is there; None when none is."""
        return next((self.fields[name] for name in names if self.fields.get(name) is not None), None)

    def text(self, *names: str) -> str:
        """A field that has to be text with something in it.

        Raises:
            PlanError: it is missing or something else.
        """
        found = self.get(*names)
        if not isinstance(found, str) or not found.strip():
            raise self.refused(f"{' or '.join(names)} is {'missing' if found is None else 'no text'}")
        return found.strip()

    def refused(self, what: str) -> PlanError:
        return PlanError(self.asked, f"{self.where}: {what}", "Mend the row, or take it out")


def read_rows(path: Path, asked: str) -> Iterator[Row]:
    """All rows of a file.

    Raises:
        PlanError: it cannot be read, is too large, no UTF-8 or no such table; names the line.
    """
    text = _text(path, asked)
    found = _csv(path, text, asked) if path.suffix.lower() in (".csv", ".tsv") else _json(path, text, asked)
    for count, row in enumerate(found, 1):
        if count > MOST_ROWS:
            raise PlanError(asked, f"{path.name} has more than {MOST_ROWS} rows", "Give a part of it")
        yield row


def _text(path: Path, asked: str) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PlanError(asked, f"{path} is not a regular file", "Give a .jsonl, .json or .csv file")
        if status.st_size > MOST_BYTES:
            found = f"{path.name} has {status.st_size} bytes, at most {MOST_BYTES} are read"
            raise PlanError(asked, found, "Give a part of it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PlanError(asked, f"{path} cannot be read ({error.strerror})", "Give another file") from error
    except UnicodeDecodeError as error:
        action = (
            "Save it as UTF-8; parquet files as JSON lines first" if path.suffix == ".parquet" else "Save it as UTF-8"
        )
        raise PlanError(asked, f"{path.name} is not UTF-8 at byte {error.start}", action) from error


def _json(path: Path, text: str, asked: str) -> Iterator[Row]:
    whole = _loads(text)
    if isinstance(whole, dict) and isinstance(whole.get("rows"), list):  # of the hub's viewer
        whole = [item.get("row", item) if isinstance(item, dict) else item for item in whole["rows"]]
    if isinstance(whole, dict) and isinstance(whole.get("question"), list):  # columns
        columns = {name: values for name, values in whole.items() if isinstance(values, list)}
        if len({len(values) for values in columns.values()}) > 1:
            raise PlanError(asked, f"{path.name}: its columns are not equally long", "Save it as JSON lines")
        whole = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if isinstance(whole, list):
        yield from (_row(f"{path.name}, row {i}", item, asked) for i, item in enumerate(whole, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(f"{path.name}, line {number}", _loads(line), asked)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _row(where: str, item: Any, asked: str) -> Row:
    if not isinstance(item, dict):
        raise PlanError(asked, f"{where}: it is no JSON object", "Give JSON lines, a JSON list or CSV")
    return Row(where, {str(name).lower(): value for name, value in item.items()}, asked)


def _csv(path: Path, text: str, asked: str) -> Iterator[Row]:
    tabs = path.suffix.lower() == ".tsv"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if tabs else ",", strict=True)
    heading: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path.name}, line {reader.line_num}"
            if heading is None:
                lower = [cell.strip().lower() for cell in cells]
                named = "question" in lower
                heading = lower if named else [str(i) for i in range(len(cells))]
                if named:
                    continue
            if len(cells) != len(heading):
                raise PlanError(asked, f"{where}: {len(cells)} cells, expected {len(heading)}", "Mend the row")
            yield Row(where, dict(zip(heading, cells, strict=True)), asked)
    except csv.Error as error:
        raise PlanError(asked, f"{path.name}, line {reader.line_num}: {error}", "Save it as CSV again") from error
