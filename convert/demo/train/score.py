"""How many questions of the exam a checkpoint answers, in transformers: the whole answer, then the end of the turn."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from convert.demo.train.questions import Exam
from convert.demo.writing.config import STOP_TOKENS

LONGEST_ANSWER = 24
QUESTIONS, ACCURACY = "evaluation.jsonl", "accuracy.json"


def questions_file(exams: list[Exam]) -> str:
    """The exam as text, one question a line: id, family, messages, answer."""
    lines = []
    for number, exam in enumerate(exams):
        messages = []
        for turn in exam.before:
            messages += [_message("user", turn.question), _message("assistant", turn.answer)]
        messages.append(_message("user", exam.last.question))
        entry = {"id": f"q{number:04d}", "family": exam.family, "messages": messages, "answer": exam.last.answer}
        lines.append(json.dumps(entry, ensure_ascii=True) + "\n")
    return "".join(lines)


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def score(folder: Path, questions: str, activations: bool = True) -> list[bool]:
    """Which questions are answered right, greedily.

    Args:
        folder: a checkpoint that transformers loads.
        questions: text of the exam.
        activations: False leaves the static activation steps out.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if not activations:
        for name, parameter in model.named_parameters():
            if name.endswith("_activation_scale"):
                parameter.data.zero_()
    asked = [json.loads(line) for line in questions.splitlines()]
    by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for index, entry in enumerate(asked):
        text = tokenizer.apply_chat_template(entry["messages"], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        by_length[len(ids)].append((index, ids))
    right = [False] * len(asked)
    for group in by_length.values():
        for (index, _), answer in zip(group, _greedy(model, [ids for _, ids in group]), strict=True):
            right[index] = tokenizer.decode(answer).strip() == asked[index]["answer"]
    return right


def _greedy(model: Any, prompts: list[list[int]]) -> list[list[int]]:
    """The tokens before the first stop token; an answer without one counts with its last token doubled: never right."""
    import torch

    with torch.no_grad():
        tokens, cache = torch.tensor(prompts), None
        said: list[Any] = []
        done = torch.zeros(len(prompts), dtype=torch.bool)
        while not bool(done.all()) and len(said) < LONGEST_ANSWER:
            out = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, tokens = out.past_key_values, out.logits[:, -1:].argmax(-1)
            said.append(tokens[:, 0])
            done |= torch.isin(tokens[:, 0], torch.tensor(STOP_TOKENS))
    rows = torch.stack(said, 1).tolist()
    return [_until_stop(row) for row in rows]


def _until_stop(row: list[int]) -> list[int]:
    for place, token in enumerate(row):
        if token in STOP_TOKENS:
            return row[:place]
    return [*row, row[-1]]


def interval(correct: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    from scipy.stats import binomtest

    found = binomtest(correct, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
