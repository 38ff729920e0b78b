"""A folder that appears whole or not at all, whoever is killed and whenever.

Everything is written in ``.<name>.work`` beside the final folder, hence on the same file system. A file lock on that
work folder keeps two builders apart; the kernel drops it with the last process that holds it, so a SIGKILL leaves no
lock behind, only a folder that the next builder empties.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from convert.errors import PlanError

# After a SIGKILL the dead builder's child may live for an instant and hold the lock.
LOCK_WAIT_S = 5.0
_AT_FDCWD = {"linux": -100, "darwin": -2}
_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h and RENAME_SWAP of macOS's sys/stdio.h happen to be the same number.


@dataclass(frozen=True)
class Site:
    """A building site.

    Attributes:
        final: where the folder will appear.
        work: the work folder; everything in it is removed in the end.
        lock: file descriptor that holds the lock; children inherit it, so that none outlives the exclusion.
    """

    final: Path
    work: Path
    lock: int

    @property
    def new(self) -> Path:
        """The folder to fill."""
        return self.work / "new"

    def publish(self) -> None:
        """Puts ``new`` in the place of ``final``, durably. Before it the old folder is there, after it the new one."""
        sync_tree(self.new)
        self._put(self.new, self.final)
        sync(self.final.parent)

    def publish_each(self) -> None:
        """Puts what is in ``new`` beside each other where ``final`` lies, what is called like it last."""
        sync_tree(self.new)
        for path in sorted(self.new.iterdir(), key=lambda path: (path.name == self.final.name, path.name)):
            self._put(path, self.final.with_name(path.name))
        sync(self.final.parent)

    def _put(self, new: Path, place: Path) -> None:
        if not place.exists():
            new.rename(place)
        elif not new.is_dir() and not place.is_dir():
            new.replace(place)
        elif not exchange(new, place):
            # No exchange on this file system: a moment without either, which `site` repairs if we die in it.
            place.rename(self.work / ("old" if place == self.final else "beside"))
            new.rename(place)
            _remove(self.work / "beside")


@contextmanager
def site(final: Path, lock_wait_s: float = LOCK_WAIT_S, as_folder: bool = True) -> Iterator[Site]:
    """Takes the lock, clears what a killed builder left, gives an empty ``new``; removes every trace afterwards.

    Args:
        as_folder: whether ``final`` can only be a folder.

    Raises:
        PlanError: another builder is at work, or ``final`` is not a folder.
    """
    if as_folder and final.exists() and not final.is_dir():
        raise PlanError(f"build {final}", "a file of that name is in the way", "Move it, or choose another --out")
    missing = [folder for folder in final.parents if not folder.exists()]
    work = final.parent / f".{final.name}.work"
    lock = _lock(work, lock_wait_s)
    try:
        _clear(work, final)
        (work / "new").mkdir()
        yield Site(final, work, lock)
    finally:
        _clear(work, final)
        with suppress(FileNotFoundError):
            work.rmdir()
        os.close(lock)
        for folder in missing:
            with suppress(OSError):  # holds something by now
                folder.rmdir()


def _lock(work: Path, wait_s: float) -> int:
    deadline = time.monotonic() + wait_s
    while True:
        work.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(work, os.O_RDONLY)
        except FileNotFoundError:
            continue  # the builder before us just removed it
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):  # unlinked between our opening and locking it
                if os.path.samestat(os.fstat(handle), work.stat()):
                    return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                name = work.name.removeprefix(".").removesuffix(".work")
                raise PlanError(
                    f"build {name}", "another build of it is running", "Wait for that one, or choose another --out"
                ) from None
            time.sleep(0.05)
        os.close(handle)


def _clear(work: Path, final: Path) -> None:
    old = work / "old"
    if old.exists() and not final.exists():
        old.rename(final)
    # A killed judge's own helpers may still write scratch files for an instant: try again before giving up.
    for patience in (True,) * 20 + (False,):
        for entry in list(work.iterdir()):
            _remove(entry, patience)
        if not any(work.iterdir()):
            return
        time.sleep(0.1)


def _remove(path: Path, patience: bool = False) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=patience)
    else:
        path.unlink(missing_ok=True)


def exchange(a: Path, b: Path) -> bool:
    """Swaps two paths in one step; False where system or file system cannot. renameat2(2), renameatx_np(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    swap = getattr(libc, "renameat2" if sys.platform == "linux" else "renameatx_np", None)
    here = _AT_FDCWD.get(sys.platform)
    if swap is None or here is None:
        return False
    return int(swap(here, os.fsencode(a), here, os.fsencode(b), ctypes.c_uint(_EXCHANGE))) == 0


def sync_tree(folder: Path) -> None:
    """Flushes every file and folder below ``folder`` to the disk."""
    for root, _, files in os.walk(folder):
        for name in files:
            sync(Path(root) / name)
        sync(Path(root))


def sync(path: Path) -> None:
    """Flushes one file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
