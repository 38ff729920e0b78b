"""``python -m convert.demo.train.vision``: a vision tower for the embedded demo, whose decoder stays as it is.

The embedded demo has none yet: a result is installed only where it answers nearly all held-out questions.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from convert import demo
from convert.demo.train.vision import lessons
from convert.progress import for_terminal

THREADS = 2
WORTH = 0.95  # share of right answers that is worth embedding


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m convert.demo.train.vision",
        description="Train a vision tower for the embedded demo, on generated pictures, with QAT; its text stays.",
        epilog="example: python -m convert.demo.train.vision --folder build/demo-vision --install",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/demo-vision"), help="where the stages are kept")
    parser.add_argument(
        "--install",
        action="store_true",
        help=f"embed the result, if at least {WORTH:.0%} of its answers are right".replace("%", "%%"),
    )
    asked = parser.parse_args()
    made, right = train(asked.folder)
    if asked.install:
        if right < WORTH:
            sys.exit(f"not installed: {right:.1%} of the answers are right, at least {WORTH:.0%} are wanted")
        for new in sorted(made.iterdir()):
            shutil.copyfile(new, demo.folder() / new.name)


def train(folder: Path) -> tuple[Path, float]:
    """Trains for the embedded checkpoint; returns the folder of the one that sees, and its share of right answers."""
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
    made, table, right = lessons.teach(shop, DEMO, Curriculum(DEMO.vocab).pieces)
    sys.stdout.write(f"{table}\n")
    return made, right


if __name__ == "__main__":
    main()
