"""The held-out pictures with their questions as a file, and how many of these a checkpoint answers in transformers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.train.score import LONGEST_ANSWER
from convert.demo.train.vision import asked, pictures
from convert.demo.train.vision.asked import Asked
from convert.demo.train.vision.pictures import Pixels
from convert.demo.writing.config import STOP_TOKENS
from convert.demo.writing.tokenizer import PICTURE

QUESTIONS = "evaluation_images.jsonl"
SEED = 40
# Four and five are told apart as well, but some by a hair, and such answers say nothing of a conversion.
COUNTED = 3
SQUARE = (384, 384)  # pixels that neither transformers nor an engine resizes for 70 rows
# Others, smaller and larger; every fourth picture has one of them. Square ones: the tower sees no others.
OTHERS = ((96, 96), (200, 200), (640, 640), (800, 800), (300, 300))


@dataclass(frozen=True)
class Exam:
    """A picture and a question about it.

    Attributes:
        png: the picture's file.
        resized: it does not have the size of ``SQUARE``.
    """

    png: bytes
    resized: bool
    asked: Asked


def exam(count: int) -> list[Exam]:
    """So many questions about held-out scenes, in turn of each kind, in a fixed order."""
    random = np.random.default_rng(SEED)
    kinds, out = list(asked.WORDINGS), list[Exam]()
    while len(out) < count:
        scene = pictures.invent(random, held_out=True)
        kind = kinds[len(out) % len(kinds)]
        if kind not in asked.ASKED[scene.kind] or (kind == "count" and not 1 < len(scene.cells) <= COUNTED):
            continue
        number = len(out) // len(kinds)
        size = OTHERS[number // 4 % len(OTHERS)] if number % 4 == 3 else SQUARE
        drawn = pictures.draw(scene, *size, random)
        out.append(Exam(png(drawn), size != SQUARE, asked.ask(scene, kind)))
    return out


def png(picture: Pixels) -> bytes:
    """A PNG file with a palette, for pictures of few colours."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).quantize(16).save(file, "PNG", optimize=True)
    return file.getvalue()


def questions_file(exams: Sequence[Exam]) -> str:
    """The exam as text, one question a line, pictures in base64."""
    lines = []
    for number, each in enumerate(exams):
        parts = [
            {"type": "image", "blob": base64.b64encode(each.png).decode()},
            {"type": "text", "text": each.asked.question},
        ]
        entry = {
            "id": f"p{number:04d}",
            "family": each.asked.kind + (", resized" if each.resized else ""),
            "messages": [{"role": "user", "content": parts}],
            "answer": each.asked.answer,
        }
        lines.append(json.dumps(entry, ensure_ascii=True) + "\n")
    return "".join(lines)


def score(folder: Path, questions: str) -> list[bool]:
    """Which questions are answered right, greedily, in transformers; pictures are cut by its own image processor."""
    import torch
    from PIL import Image
    from transformers import AutoTokenizer, Gemma4ForConditionalGeneration
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    settings = json.loads((folder / "processor_config.json").read_text("utf-8"))["image_processor"]
    processor = Gemma4ImageProcessorPil(max_soft_tokens=settings["max_soft_tokens"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Gemma4ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    begin, row, end = PICTURE
    right = []
    for line in questions.splitlines():
        entry = json.loads(line)
        text = tokenizer.apply_chat_template(entry["messages"], tokenize=False, add_generation_prompt=True)
        picture = Image.open(io.BytesIO(base64.b64decode(entry["messages"][0]["content"][0]["blob"]))).convert("RGB")
        cut = processor(picture, return_tensors="pt")
        spread = begin + row * int(cut["num_soft_tokens_per_image"][0]) + end
        ids = tokenizer(text.replace(row, spread), add_special_tokens=False, return_tensors="pt").input_ids
        said = _greedy(model, ids, cut)
        right.append(tokenizer.decode(said).strip() == entry["answer"])
    return right


def _greedy(model: Any, ids: Any, cut: Any) -> list[int]:
    """The tokens before the first stop token; an answer without one counts with its last token doubled: never right."""
    import torch

    said: list[int] = []
    with torch.no_grad():
        out = model(
            input_ids=ids,
            pixel_values=cut["pixel_values"],
            image_position_ids=cut["image_position_ids"],
            use_cache=True,
            logits_to_keep=1,
        )
        while len(said) < LONGEST_ANSWER:
            said.append(int(out.logits[0, -1].argmax()))
            if said[-1] in STOP_TOKENS:
                return said[:-1]
            step = torch.tensor([said[-1:]])
            out = model(input_ids=step, past_key_values=out.past_key_values, use_cache=True)
    return [*said, said[-1]]
