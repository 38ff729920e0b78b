"""A few hundred plain sentences, made from templates: the tokenizer's training text and the text for calibration."""

from __future__ import annotations

import itertools

_SUBJECTS = (
    "the teacher", "a student", "my friend", "the engineer", "our neighbour", "the little robot", "an old sailor",
    "the doctor", "a young writer", "the gardener", "her brother", "the model", "your phone", "the assistant",
)  # fmt: skip
_VERBS = (
    "explains", "finds", "remembers", "builds", "describes", "measures", "paints", "checks", "writes", "carries",
    "reads", "changes", "understands", "answers",
)  # fmt: skip
_OBJECTS = (
    "a short story about the sea", "the shortest way home", "three simple questions", "the price of bread",
    "a list of numbers", "every word in the sentence", "the weather for tomorrow", "a picture of the mountain",
    "the history of the city", "a recipe for vegetable soup", "the sum of two and seven", "an honest report",
    "the difference between light and sound", "a small program that sorts names",
)  # fmt: skip
_ENDINGS = (
    "before breakfast", "in the evening", "because it is important", "with great care", "for the first time",
    "while the rain is falling", "without any help", "when nobody is looking", "at the end of the day",
)  # fmt: skip
_REQUESTS = (
    "What is the capital of {}?", "Write one sentence about {}.", "How many people live in {}?",
    "Tell me something new about {}.", "Why do we need {}?", "Please translate {} into another language.",
)  # fmt: skip
_TOPICS = (
    "France", "the moon", "Africa", "machine learning", "water", "music", "mathematics", "the ocean", "good manners",
    "a telephone", "winter", "the human heart", "energy", "Japan", "bread and butter", "quantization",
)  # fmt: skip


def sentences() -> list[str]:
    """The sentences, always the same ones in the same order."""
    out = []
    for i, (subject, verb) in enumerate(itertools.product(_SUBJECTS, _VERBS)):
        thing, ending = _OBJECTS[(3 * i + i // 14) % len(_OBJECTS)], _ENDINGS[i % len(_ENDINGS)]
        out.append(f"{subject[0].upper()}{subject[1:]} {verb} {thing} {ending}.")
        if i % 5 == 0:
            out.append(f"In {1900 + 7 * i % 125}, {subject} {verb} {thing}, and {i * 37 % 100} others follow.")
    out += [request.format(topic) for request, topic in itertools.product(_REQUESTS, _TOPICS)]
    return out


def words() -> list[str]:
    """The words of the sentences as the tokenizer sees them: each but the first begins with ``▁``."""
    out = ["user", "model", "system"] * 20
    for sentence in sentences():
        first, *rest = sentence.split(" ")
        out += [first, *("▁" + word for word in rest)]
    return out
