"""``python -m convert.demo.train.drafter``: trains the demo's drafter, in minutes.

It hears training questions alone; how many of its drafts the model accepts is measured on the held-out ones, in the
engine, by the judge's rung 3.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from convert import demo
from convert.progress import for_terminal

STEPS, ROWS, RATE, SEED, THREADS = 1200, 16, 4e-3, 31, 2
STOCK = 160  # batches of conversations that the model hears


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m convert.demo.train.drafter",
        description="Train the demo's drafter on what the embedded demo says.",
        epilog="example: python -m convert.demo.train.drafter --folder build/demo-drafter --install",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/demo-drafter"), help="where it is written")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"updates [default: {STEPS}]")
    parser.add_argument("--install", action="store_true", help="replace the embedded drafter by the result")
    asked = parser.parse_args()
    train(asked.folder, asked.steps)
    if asked.install:
        train_into = demo.drafter()
        train_into.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors"):
            (train_into / name).write_bytes((asked.folder / name).read_bytes())


def train(folder: Path, steps: int = STEPS, threads: int = THREADS) -> None:
    """Trains and writes the folder."""
    import torch

    from convert.demo.train.curriculum import Curriculum
    from convert.demo.train.drafter import export
    from convert.demo.train.drafter.fit import fit, hear, load, network
    from convert.demo.train.fit import Course

    torch.set_num_threads(threads)
    source = demo.folder()
    fields = export.config(source)
    drafter, curriculum = network(fields, SEED), Curriculum(fields["text_config"]["vocab_size"])
    model, course = load(source), Course(steps, ROWS, RATE, 0.01, SEED)
    with for_terminal().stage("hear the model", STOCK, "batches") as stage:
        heard = hear(model, curriculum, course, min(STOCK, steps), stage)
    with for_terminal().stage("train the drafter", steps, "steps") as stage:
        fit(drafter, model, heard, course, stage, lambda *told: print(*told, file=sys.stderr, flush=True))  # noqa: T201
    export.write(folder, drafter, source)


if __name__ == "__main__":
    main()
