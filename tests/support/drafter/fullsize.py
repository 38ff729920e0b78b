"""``python -m tests.support.drafter.fullsize MODEL FORMAT FOLDER``: a random drafter of the size that is published.

MODEL is a checkpoint's folder, such as ``python -m tests.support.checkpoints.fullsize`` writes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.support.drafter.assistant import write_published

FORMATS = {"bfloat16": False, "q4_0": True}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.drafter.fullsize",
        description="Write a random drafter for a checkpoint, as large as the one that is published for E2B.",
        epilog="example: python -m tests.support.drafter.fullsize /tmp/mobile_e2b bfloat16 /tmp/drafter",
    )
    parser.add_argument("model", type=Path, help="folder of the checkpoint that it drafts for")
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    if not (options.model / "config.json").is_file():
        parser.error(f"{options.model} holds no config.json; give the folder of the checkpoint that it drafts for")
    write_published(options.folder, options.model, lattice=FORMATS[options.format], seed=options.seed)


if __name__ == "__main__":
    main()
