"""Large arrays stay with a process: a kernel that clears the same pages again and again costs a fifth of all time.

glibc gives every block of some megabytes back as soon as it is free, and gets new, zeroed pages for the next one. The
eager decoder makes thousands of such blocks and nothing else, so it may keep them; the judge itself holds interpreters
and models one after the other, and would keep what none of them needs any more.
"""

from __future__ import annotations

# glibc's environment variables (mallopt(3)): no block has pages of its own, and much must be free to be given back.
KEPT_BLOCKS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
