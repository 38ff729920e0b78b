"""Did somebody change the checkpoint's files while they were read? Several processes read them, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.errors import CheckpointError


@dataclass(frozen=True)
class Look:
    """What a file looked like: device and inode, size in bytes, and time of the last change in nanoseconds."""

    place: tuple[int, int]
    size: int
    changed: int


Looks = Mapping[Path, Look | None]


def looks(paths: Iterable[Path]) -> Looks:
    """How files look now; None for one that is gone."""
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Look | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Look((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def check_unchanged(before: Looks, asked: str) -> None:
    """Refuses to go on with files that look otherwise than before.

    Raises:
        CheckpointError: names the first that was changed, and how.
    """
    for path, old in before.items():
        new = _look(path)
        if new == old or old is None:
            continue
        if new is None:
            what = "was removed"
        elif new.size != old.size:
            what = f"had {old.size:,} bytes and has {new.size:,}"
        elif new.place != old.place:
            what = "was replaced by another file"
        else:
            what = "was written to"
        raise CheckpointError(
            asked, f"{path.name} {what} while it was read", "Run it again, and leave the checkpoint alone meanwhile"
        )
