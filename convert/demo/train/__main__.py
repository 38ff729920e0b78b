"""``python -m convert.demo.train``: trains the demo from nothing, scores it, compares it with the embedded one."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from convert import demo
from convert.demo.train import card, stages
from convert.demo.train.score import ACCURACY, QUESTIONS, interval, score
from convert.progress import for_terminal

THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m convert.demo.train",
        description="Train the embedded demo from nothing: float, then QAT in the mobile and the q4_0 scheme.",
        epilog="example: python -m convert.demo.train --folder build/demo-train --install",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/demo-train"), help="where the stages are kept")
    parser.add_argument("--smoke", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--install", action="store_true", help="replace the embedded checkpoint by the result")
    asked = parser.parse_args()
    if not run(asked.folder, stages.SMOKE if asked.smoke else stages.FULL, asked.install):
        sys.exit(1)


def run(folder: Path, recipe: stages.Recipe, install: bool) -> bool:
    """Trains, scores and reports; returns whether the accuracy is the embedded checkpoint's, within its interval."""
    import torch

    torch.set_num_threads(THREADS)
    shop = stages.Workshop(folder, recipe, for_terminal(), lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
    first = stages.first_network(shop)
    mobile = stages.mobile_network(shop, first)
    floats = stages.float_network(shop, first)
    folders = {
        "float": floats,
        "ptq": stages.naive_network(shop, floats),
        "ptq-mse": stages.careful_network(shop, floats),
        "qat": mobile,
        "q4_0": stages.lattice_network(shop, first),
    }
    outcomes = {name: score(where, shop.exam) for name, where in folders.items()}
    outcomes["qat, float activations"] = score(mobile, shop.exam, activations=False)
    for where in (mobile, folders["q4_0"]):
        (where / QUESTIONS).write_text(shop.exam, "utf-8")
    (mobile / ACCURACY).write_text(card.accuracy(shop.exam, outcomes), "utf-8")
    (mobile / "README.md").write_text(describe(shop, mobile, outcomes), "utf-8")
    sys.stdout.write(f"{card.table(outcomes)}\n\n{card.families(shop.exam, outcomes['qat'])}\n\n")
    if install:
        put(mobile, demo.folder())
        return True
    return compare(shop.exam, outcomes["qat"])


def describe(shop: stages.Workshop, mobile: Path, outcomes: dict[str, list[bool]]) -> str:
    """The model card."""
    from convert.demo.train.network import build

    recipe = shop.recipe
    counts = {
        "parameters": sum(p.numel() for p in build(recipe.shape, 1).model.language_model.parameters()) / 1e6,
        "first": recipe.first.steps,
        "aware": recipe.aware.steps,
        "activations": int(recipe.aware.steps * recipe.activations_at),
        "batch": recipe.aware.rows,
    }
    return card.card(recipe.shape, counts, outcomes, (mobile / QUESTIONS).read_text("utf-8"))


def put(mobile: Path, target: Path) -> None:
    """Replaces the embedded checkpoint's files, all of them."""
    for old in target.iterdir():
        old.unlink()
    for new in sorted(mobile.iterdir()):
        if new.name != "recipe.sha256":
            shutil.copyfile(new, target / new.name)


def compare(questions: str, right: Sequence[bool]) -> bool:
    """Says whether the embedded checkpoint's accuracy lies in the interval of the one just trained."""
    embedded = demo.folder()
    if (embedded / QUESTIONS).read_text("utf-8") != questions:
        sys.stdout.write("The embedded checkpoint was scored on other questions: nothing to compare with.\n")
        return False
    old = score(embedded, questions)
    low, high = interval(sum(right), len(right))
    inside = low <= sum(old) / len(old) <= high
    sys.stdout.write(
        f"embedded: {100 * sum(old) / len(old):.1f} %, trained now: {100 * sum(right) / len(right):.1f} % "
        f"({100 * low:.1f} - {100 * high:.1f} %): {'reproduced' if inside else 'NOT reproduced'}\n"
    )
    return inside


if __name__ == "__main__":
    main()
