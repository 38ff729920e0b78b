"""From a text model's folder to one that sees, with its exam and its card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from convert.demo.writing.shape import TextShape
from convert.demo.writing.tokenizer import Pieces

if TYPE_CHECKING:
    from convert.demo.train.vision.stages import Workshop


def teach(shop: Workshop, shape: TextShape, pieces: Pieces) -> tuple[Path, str, float]:
    """Trains the tower, writes the checkpoint that sees beside the stages, and scores it in transformers.

    Args:
        shape, pieces: of the text model in ``shop.decoder``, whose files are taken over.

    Returns:
        The folder, a Markdown table of accuracy by kind of question, and the share of right answers.
    """
    from convert.demo.train.card import families
    from convert.demo.train.vision import card, exam, export

    tower, made = shop.train(), shop.folder / "checkpoint"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(shop.decoder, made, ignore=shutil.ignore_patterns("recipe.sha256"))
    export.write(made, shop.decoder, shape, pieces, tower)
    questions = exam.questions_file(exam.exam(shop.recipe.questions))
    (made / exam.QUESTIONS).write_text(questions, "utf-8")
    right = exam.score(made, questions)
    text = (shop.decoder / "README.md").read_text("utf-8")
    (made / "README.md").write_text(card.with_sight(text, shop.recipe, shape.hidden, questions, right), "utf-8")
    return made, families(questions, right), sum(right) / len(right)
