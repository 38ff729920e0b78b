"""Answers so far, on disk, so that a judgement that was killed goes on where it was.

One JSON object a line; the first says what the answers are of. Only whole lines count, for the last one may have been
cut by the kill. A file that speaks of other things is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runtime_tests.readers.regular import read_regular

KIND = "gemma-bridge answers 1"
MOST_BYTES = 256 << 20


class Kept:
    """A store of answers by who gave them and to what.

    Without a path, or where nothing can be written, it forgets everything at the end of the run.
    """

    def __init__(self, path: Path | None, of: Mapping[str, str], tell: Callable[[str], None] = lambda _: None) -> None:
        """Reads what is there.

        Args:
            path: the file; None for none.
            of: what the answers depend on, such as the artifact's SHA-256.
            tell: hears in a line what became of the file.
        """
        self.path, self._tell = path, tell
        self._first = {"kind": KIND, **of}
        self._found: dict[tuple[str, str], Any] = {}
        self._file: Any = None
        if path is not None:
            self._found = self._read(path)
            if self._found:
                tell(f"{len(self._found)} answers are known from {path}, of a run that did not end")

    def get(self, who: str, to: str) -> Any:
        """What somebody answered; None when that is not known."""
        return self._found.get((who, to))

    def put(self, who: str, to: str, answer: Any) -> None:
        """Keeps an answer, a JSON value."""
        self._found[who, to] = answer
        self._write({"who": who, "to": to, "answer": answer})

    def close(self, remove: bool) -> None:
        """Ends the work on the file, and the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if remove and self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _read(self, path: Path) -> dict[tuple[str, str], Any]:
        try:
            if not os.path.lexists(path):
                return {}
            if not _ours(path):
                self._tell(f"{path}: left alone, for it is no file of answers; a run that is killed begins anew")
                self.path = None
                return {}
            *lines, _cut = read_regular(path).decode("utf-8").split("\n")
            first, *rest = [json.loads(line) for line in lines] or [None]
            if first != self._first:
                raise ValueError("it is of another model or of other questions")
            return {(str(item["who"]), str(item["to"])): item["answer"] for item in rest}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            self._tell(f"{path}: not used ({' '.join(str(text).split())[:120]})")
            return {}

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        try:
            if self._file is None:
                self._file = self._opened(self.path)
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            self._tell(f"{self.path}: answers are not kept ({error.strerror}); a run that is killed begins anew")
            self.path = None

    def _opened(self, path: Path) -> Any:
        """A new file with what is known, in the place of the old one."""
        part = path.with_name(f"{path.name}.part")
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        file = os.fdopen(os.open(part, flags, 0o600), "w", encoding="utf-8")
        file.write(json.dumps(self._first) + "\n")
        for (who, to), answer in self._found.items():
            file.write(json.dumps({"who": who, "to": to, "answer": answer}) + "\n")
        file.flush()
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise OSError(None, "something else is in its place")
        part.replace(path)
        return file


def _ours(path: Path) -> bool:
    begin = json.dumps({"kind": KIND})[:-1].encode()
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(begin)) == begin


def key(*parts: object) -> str:
    """A name for what was asked."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]
