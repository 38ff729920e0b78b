"""A stand-in for the stock engine: its conversations say what a test gives them, and keep what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from convert.chat.engine import Opened
from convert.chat.native_log import NativeLog


@dataclass
class Part:
    """One piece of an answer, in the engine's form."""

    json: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.json


def text(*pieces: str) -> list[Part]:
    """An answer of text."""
    return [Part({"role": "assistant", "content": [{"type": "text", "text": piece}]}) for piece in pieces]


def call(name: str, **arguments: Any) -> list[Part]:
    """An answer that calls a tool."""
    function = {"name": name, "arguments": arguments}
    return [Part({"role": "assistant", "tool_calls": [{"type": "function", "function": function}]})]


@dataclass
class Measured:
    last_decode_token_count: int
    last_decode_tokens_per_second: float = 1.0


@dataclass
class Conversation:
    engine: Engine
    history: list[dict[str, Any]]
    token_count: int = 0
    decoded: int = 0

    def send_message_async(self, message: dict[str, Any]) -> Iterator[Part]:
        self.engine.heard.append(message)
        answer = self.engine.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.decoded = len(answer)
        for part in answer:
            yield part
            self.token_count += 1

    def get_benchmark_info(self) -> Measured:
        return Measured(self.decoded)

    def cancel_process(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Engine:
    """Answers come one after the other; an exception in the list is raised.

    Attributes:
        heard: every message that a conversation was sent.
        begun: what was said before, for every conversation that was begun.
    """

    answers: list[list[Part] | Exception]
    heard: list[dict[str, Any]] = field(default_factory=list)
    begun: list[list[dict[str, Any]]] = field(default_factory=list)

    def create_conversation(self, messages: list[dict[str, Any]] | None = None, **settings: Any) -> Conversation:
        self.begun.append(messages or [])
        return Conversation(self, messages or [])

    def tokenize(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def opened(self, context: int | None = 64) -> Opened:
        return Opened(self, context, NativeLog())
