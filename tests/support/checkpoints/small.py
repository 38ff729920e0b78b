"""Small checkpoints for tests, as folders: ``python -m tests.support.checkpoints.small FORMAT SIZE FOLDER``."""

from __future__ import annotations

import argparse
from pathlib import Path

SEED = 7


def write(folder: Path, format: str, size: str) -> None:
    """Writes an E2B- or E4B-shaped checkpoint of a few megabytes.

    Args:
        format: ``mobile`` or ``q4_0``.
        size: ``e2b`` or ``e4b``.
    """
    from tests.support.checkpoints.shapes import SMALL
    from tests.support.checkpoints.write import write_checkpoint

    write_checkpoint(folder, SMALL[size], format, SEED)


def write_published(folder: Path, format: str, size: str, shards: int = 1) -> None:
    """The same with every known trait of Google's files: see ``tests/support/checkpoints/published``.

    Args:
        size: also ``wide``: few and thin layers, with a tokenizer of the real size.
    """
    from tests.support.checkpoints.shapes import PUBLISHED
    from tests.support.checkpoints.write import write_checkpoint

    write_checkpoint(folder, PUBLISHED[size], format, SEED, shards=shards)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.checkpoints.small",
        description="A small checkpoint of random weights in a published format.",
        epilog="example: python -m tests.support.checkpoints.small q4_0 e2b /tmp/q4_0_e2b",
    )
    parser.add_argument("format", choices=("mobile", "q4_0"))
    parser.add_argument("size", choices=("e2b", "e4b", "wide"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plain", action="store_true", help="the text decoder alone, in a file of another order")
    asked = parser.parse_args()
    (write if asked.plain else write_published)(asked.folder, asked.format, asked.size)


if __name__ == "__main__":
    main()
