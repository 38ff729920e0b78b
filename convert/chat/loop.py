"""An engine for models that the stock engine does not run: the loop that a desktop bundle brings, behind its interface.

Of ``litert_lm`` it has what ``convert.chat.talk`` calls where there are no tools.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from convert.bundle.platforms.desktop.gemma import FullError, Gemma, pictures_of
from convert.errors import ArtifactError

KEPT_IMAGES = 16


@dataclass(frozen=True)
class Part:
    """A piece of an answer."""

    content: str

    def to_json(self) -> dict[str, Any]:
        return {"role": "assistant", "content": self.content}


@dataclass(frozen=True)
class Measured:
    """What an answer took, named as the stock engine does."""

    last_decode_token_count: int
    last_decode_tokens_per_second: float


class LoopEngine:
    """A model; conversations share it, one after the other.

    Raises:
        ArtifactError: a file that it needs is missing or damaged, or ONNX Runtime refuses the model.
    """

    def __init__(self, model: Path, threads: int) -> None:
        try:
            self.gemma = Gemma(model.parent, threads)
        except Exception as error:  # the runtime's and the tokenizer's exceptions have no base of their own
            said = " ".join(str(error).split())[:300]
            advice = "Give a bundle as it was built, or judge it with verify"
            raise ArtifactError(f"chat with {model.name}", f"it cannot be loaded ({said})", advice) from error
        self._picture = lru_cache(KEPT_IMAGES)(lambda blob: self.gemma.image(base64.b64decode(blob)))

    def taken(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message as the loop takes it: with the rows of its images, of which the last ones are kept."""
        if isinstance(message.get("content"), str):
            return message

        def part(given: dict[str, Any]) -> dict[str, Any]:
            return {"type": "image", "image": self._picture(given["blob"])} if given["type"] == "image" else given

        return {**message, "content": [*map(part, message["content"])]}

    def tokenize(self, text: str) -> list[int]:
        return self.gemma.prompt([{"role": "user", "content": text}])

    def create_conversation(
        self,
        messages: list[dict[str, Any]] | None = None,
        tools: object = None,
        automatic_tool_calling: bool = False,
        sampler_config: object = None,
        max_output_tokens: int = 512,
    ) -> LoopConversation:
        """``sampler_config`` None draws with the bundle's settings; any other takes the best token."""
        return LoopConversation(self, list(messages or ()), sampler_config is None, max_output_tokens)


class LoopConversation:
    """What was said, and how the next answer is made."""

    def __init__(self, engine: LoopEngine, said: list[dict[str, Any]], sample: bool, limit: int) -> None:
        self._engine, self._gemma, self._said, self._sample, self._limit = engine, engine.gemma, said, sample, limit
        self._cancelled, self._measured = False, Measured(0, 0.0)
        self.token_count = 0

    def send_message_async(self, message: dict[str, Any]) -> Iterator[Part]:
        """Pieces of the answer.

        Raises:
            RuntimeError: the message does not fit, the template refuses it, or the runtime fails, as the stock engine.
        """
        self._cancelled, begin = False, 0.0
        said, answer = [*self._said, message], list[str]()
        try:
            taken = [*map(self._engine.taken, said)]
            prompt = self._gemma.prompt(taken)
            for piece in self._gemma.text(prompt, self._limit, self._sample, pictures=pictures_of(taken)):
                begin = begin or time.perf_counter()
                answer.append(piece)
                yield Part(piece)
                if self._cancelled:
                    break
        except FullError as error:
            raise RuntimeError(f"exceeds the context: {error}") from error
        except Exception as error:  # the runtime's and the template's exceptions have no base of their own
            raise RuntimeError(str(error)) from error
        self.token_count = self._gemma.used
        counted, seconds = self.token_count - len(prompt), time.perf_counter() - begin
        self._measured = Measured(max(0, counted), (counted - 1) / seconds if counted > 1 and begin else 0.0)
        self._said = [*said, {"role": "assistant", "content": "".join(answer)}]

    def get_benchmark_info(self) -> Measured:
        return self._measured

    def cancel_process(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        """Nothing is held."""
