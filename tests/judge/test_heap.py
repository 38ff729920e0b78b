"""Whether the judge's process keeps the memory that it will need again: counted in pages that the system hands out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.commands import REPOSITORY

COUNTED = """
import os, resource, sys
from runtime_tests.memory import heap
if sys.argv[1] == "kept":
    heap.reuse()
else:
    del heap
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, os.environ.get("THP_MEM_ALLOC_ENABLE"))
"""


def faults(how: str, **env: str) -> tuple[int, str]:
    """Page faults of 20 blocks of 64 MB, one after the other, and what torch is told of large pages."""
    command = [sys.executable, "-c", COUNTED, how]
    ran = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True, timeout=60)
    count, told = ran.stdout.split()
    return int(count), told


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_a_block_that_was_freed_is_filled_again_without_new_pages() -> None:
    (usual, untold), (kept, told) = faults("usual"), faults("kept")
    assert kept < usual / 10
    assert (untold, told) == ("None", "1")


def test_a_users_choice_of_pages_stays() -> None:
    assert faults("kept", THP_MEM_ALLOC_ENABLE="0")[1] == "0"
