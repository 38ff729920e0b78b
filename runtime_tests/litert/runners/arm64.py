"""arm64 under qemu-user: the runtimes a phone has, for its processor, on this machine.

cortex-a76 is the oldest core that they run on under qemu; a53 and a72 end in SIGILL. What qemu emulates is the
instruction set: the numbers are a phone's, the speed is not.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.runners.arm64_pieces import EMULATOR, PIECES, fill
from runtime_tests.litert.runners.process import Process
from runtime_tests.pinned.pieces import cache, place

NAME = "LiteRT on arm64"


def arm64(folder: Path | None = None, *, fetch: bool = True) -> Process:
    """The emulated Python, with numpy and both runtimes; downloads what is missing (about 150 MB).

    Args:
        folder: the cache; by default the user's.
        fetch: whether to download.

    Raises:
        CannotRunError: not here, with the reason.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise CannotRunError("arm64 is emulated on Linux on x86-64 only")
    where = folder or cache("arm64")
    if not fetch and not place(where, PIECES).is_dir():
        raise CannotRunError("the pieces for arm64 have not been downloaded; verify --arm64 does that")
    made = fill(where)
    root = made / "root"
    emulator = (str(made / "host" / "usr" / "bin" / EMULATOR), "-cpu", "cortex-a76", "-L", str(root))
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(made / "site"), "LD_LIBRARY_PATH": ""}
    command = (*emulator, str(root / "usr" / "bin" / "python3.11"), "-S", "-P")
    return Process(NAME, "litert", command=command, env=env)
