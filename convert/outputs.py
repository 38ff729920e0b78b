"""Where a command may write. A path that holds something of the user's is refused before any work.

Replaced are an empty regular file, an empty folder, and what is of the kind that is to be written: a .litertlm, a row
table, an .mlpackage, a bundle, told by content and not by name. Neither replaced nor written through are a symbolic
link, a pipe, a socket, a device, and anything else that a user may want to keep.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from convert.errors import PlanError

QUESTIONS_MAGIC = b'{"defaults": '
# The file that makes a folder what it is, and a key that this file holds.
BUNDLE = ("manifest.json", b'"self_sha256"')
_MANIFEST_LIMIT = 64 << 20
_ELSEWHERE = "Give another path, or move what is there"
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_folder(folder: Path, asked: str) -> None:
    """Refuses an output folder that is something else, or that cannot be made or written to.

    Raises:
        PlanError: names the first part of the path that stands in the way.
    """
    for path in (folder.absolute(), *folder.absolute().parents):
        status = _status(path, asked)
        if status is None:
            continue
        if stat.S_ISLNK(status.st_mode) and not path.exists():
            raise PlanError(asked, f"{path} is a symbolic link to nothing", "Mend or remove it, or give another --out")
        if not path.is_dir():
            raise PlanError(asked, f"{path} is not a folder", "Give a folder for the output, or a new name for one")
        if not os.access(path, os.W_OK | os.X_OK):
            raise PlanError(asked, f"nothing can be written into {path}", "Get write permission, or give another path")
        return


def check_bundle(folder: Path, asked: str) -> None:
    """Refuses a place for a bundle that holds anything else than an older one.

    Raises:
        PlanError: says what is there.
    """
    check_folder(folder.parent, asked)
    check_own_folder(folder, asked, BUNDLE, "a bundle")


def check_report(path: Path, asked: str) -> None:
    """Refuses a place for a report that is no regular file; whether it is a report is for its writer to say.

    Raises:
        PlanError: says what is there.
    """
    if not path.parent.is_dir():
        raise PlanError(asked, f"{path} lies in no folder", "Make the folder first, or give another path")
    check_folder(path.parent, asked)
    check_file(path, asked, None, "a report")


def check_questions_file(path: Path, asked: str) -> None:
    """Refuses a place for a file of questions that holds anything else than one that was converted before.

    Raises:
        PlanError: says what is there.
    """
    check_folder(path.parent, asked)
    check_file(path, asked, QUESTIONS_MAGIC, "a converted file of questions")


def check_file(path: Path, asked: str, magic: bytes | None, what: str) -> None:
    """An absent or empty regular file will do, and one that begins with ``magic``; None: any regular file.

    Raises:
        PlanError: anything else is there.
    """
    status = _status(path, asked)
    if status is None:
        return
    if not stat.S_ISREG(status.st_mode):
        found = f"{path} is {_kind(status.st_mode)}, which is neither replaced nor written to"
        raise PlanError(asked, found, _ELSEWHERE)
    if magic is None or status.st_size == 0:
        return
    try:
        with path.open("rb") as file:
            ours = file.read(len(magic)) == magic
    except OSError as error:
        raise PlanError(asked, f"{path} cannot be read ({error.strerror})", _ELSEWHERE) from error
    if not ours:
        raise PlanError(asked, f"{path} is a file that is not {what}, so it is not replaced", _ELSEWHERE)


def check_own_folder(path: Path, asked: str, mark: tuple[str, bytes], what: str) -> None:
    """An absent or empty folder will do, and one whose manifest has the key of ``mark``.

    Raises:
        PlanError: anything else is there.
    """
    status = _status(path, asked)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        kind = "a file" if stat.S_ISREG(status.st_mode) else _kind(status.st_mode)
        raise PlanError(asked, f"{path} is {kind}, in the place of {what}", _ELSEWHERE)
    manifest, key = path / mark[0], mark[1]
    try:
        if not any(path.iterdir()):
            return
        ours = manifest.is_file() and manifest.stat().st_size < _MANIFEST_LIMIT and key in manifest.read_bytes()
    except OSError as error:
        raise PlanError(asked, f"{path} cannot be read ({error.strerror})", _ELSEWHERE) from error
    if not ours:
        raise PlanError(asked, f"{path} is a folder that is not {what}, so it is not replaced", _ELSEWHERE)


def _status(path: Path, asked: str) -> os.stat_result | None:
    """Of the path itself and not of what a link points to; None where nothing is."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a name too long, a folder that cannot be searched, a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PlanError(asked, f"{path} cannot be looked at ({reason})", "Give another path") from error


def _kind(mode: int) -> str:
    return next((name for test, name in _KINDS if test(mode)), "no regular file")


def escaped(text: str) -> str:
    """Text as a glob pattern that means itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def listing_sha256(folder: Path, names: Iterable[str]) -> str:
    """Hex SHA-256 of the lines that ``sha256sum`` prints of some files, by name: one digest for several files."""
    whole = hashlib.sha256()
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return whole.hexdigest()
