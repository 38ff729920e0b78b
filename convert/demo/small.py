"""The four small checkpoints that tests judge, as folders: ``python -m convert.demo.small FORMAT SIZE FOLDER``."""

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
    from convert.demo.shapes import SMALL
    from convert.demo.write import write_checkpoint

    write_checkpoint(folder, SMALL[size], format, SEED)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m convert.demo.small",
        description="A small checkpoint of random weights in a published format.",
        epilog="example: python -m convert.demo.small q4_0 e2b /tmp/q4_0_e2b",
    )
    parser.add_argument("format", choices=("mobile", "q4_0"))
    parser.add_argument("size", choices=("e2b", "e4b"))
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    write(asked.folder, asked.format, asked.size)


if __name__ == "__main__":
    main()
