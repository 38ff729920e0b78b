"""``python -m convert.demo.train.vision``: teaches the embedded demo to see, in an hour; its decoder stays as it is."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from convert import demo
from convert.demo.train.vision import lessons
from convert.progress import for_terminal

THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m convert.demo.train.vision",
        description="Train a vision tower for the embedded demo, on generated pictures, with QAT; its text stays.",
        epilog="example: python -m convert.demo.train.vision --folder build/demo-vision --install",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/demo-vision"), help="where the stages are kept")
    parser.add_argument("--install", action="store_true", help="replace the embedded tower by the result")
    asked = parser.parse_args()
    made = train(asked.folder)
    if asked.install:
        for new in sorted(made.iterdir()):
            shutil.copyfile(new, demo.folder() / new.name)


def train(folder: Path) -> Path:
    """Trains for the embedded checkpoint; returns the folder of the one that sees."""
    import torch

    from convert.demo.train.curriculum import Curriculum
    from convert.demo.train.vision import stages
    from convert.demo.writing.shape import DEMO

    torch.set_num_threads(THREADS)
    shop = stages.Workshop(
        folder,
        demo.folder(),
        stages.FULL,
        for_terminal(),
        lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
    )
    made, table = lessons.teach(shop, DEMO, Curriculum(DEMO.vocab).pieces)
    sys.stdout.write(f"{table}\n")
    return made


if __name__ == "__main__":
    main()
