"""A conversation that outlives a stopped answer, a failure of the engine, and rounds of tool calls.

The engine's own conversation answers nothing any more once an answer of it was cancelled or failed [0.18.1]. So what
was said is kept here, and a new one is given it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from convert.chat.control import harmless, harmless_values
from convert.chat.engine import Opened
from convert.chat.pictures import Picture
from convert.chat.settings import Settings
from convert.chat.shown import Incomplete, shown
from convert.chat.tools import Tool
from convert.chat.tools.calls import Call, answer_all
from convert.errors import ArtifactError, ConvertError

MOST_ROUNDS = 8
MOST_SHOWN = 300
_NO_ROOM = re.compile("exceed", re.IGNORECASE)


class Ending(Enum):
    """Why an answer ended."""

    DONE = "done"
    LIMIT = "limit"
    CONTEXT = "context"
    STOPPED = "stopped"
    CALLS = "calls"


class FullError(ConvertError):
    """The message does not fit into what is left of the context.

    Attributes:
        hopeless: no other conversation has more room.
    """

    def __init__(self, asked: str, found: str, action: str, hopeless: bool) -> None:
        super().__init__(asked, found, action)
        self.hopeless = hopeless


@dataclass(frozen=True)
class Speed:
    """What the engine measured over the last answer."""

    tokens: int
    per_second: float


class Talk:
    """One conversation after another with a model.

    Args:
        tools: what the model may call.
        tell: is given a line about every call of a tool and its answer.
    """

    def __init__(
        self,
        engine: Opened,
        settings: Settings,
        tools: tuple[Tool, ...] = (),
        tell: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._engine, self._settings, self._tools, self._tell = engine, settings, tools, tell
        self._said: list[dict[str, Any]] = []
        self._native: Any = None
        self._stopping = self._running = self._out_of_calls = False
        self._used = 0
        self.begin([])

    def begin(self, said: list[dict[str, Any]]) -> None:
        """Begins another conversation, in which ``said`` was said before.

        Raises:
            ArtifactError: the engine refuses it.
        """
        import litert_lm

        self.close()
        greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
        self._said, self._stopping = said, False
        try:
            self._native = self._engine.native.create_conversation(
                messages=said or None,
                tools=[tool.native() for tool in self._tools] or None,
                automatic_tool_calling=False,  # the rounds are ours: shown, bounded, their answers made harmless
                sampler_config=None if self._settings.sample else greedy,
                max_output_tokens=self._settings.limit,
            )
        except RuntimeError as error:
            raise self._failed(error) from error

    def knows_tools(self) -> bool:
        """Whether the bundle's template tells the model what it may call."""
        declared = self._native.render_message_to_string("?")
        bare = self._engine.native.create_conversation(automatic_tool_calling=False)
        try:
            return bool(declared != bare.render_message_to_string("?"))
        finally:
            bare.close()

    def say(self, message: str, pictures: Sequence[Picture] = ()) -> Iterator[str]:
        """Streams the answer's text as it may be shown; with :meth:`stop` it ends early. Then :meth:`ending` says why.

        A failure leaves the conversation as it was before the message.

        Args:
            pictures: that stand before the text, in this order.

        Raises:
            FullError: the message does not fit into the context.
            ArtifactError: the engine failed; its own words are passed on.
        """
        if self._is_full():
            raise self._no_room(message, pictures)
        before = self._said
        try:
            yield from self._rounds(message, pictures)
        except RuntimeError as error:
            failure = self._failed(error, message, pictures)
            self.begin(before)
            raise failure from error

    def _rounds(self, message: str, pictures: Sequence[Picture]) -> Iterator[str]:
        said = [*self._said, {"role": "user", "content": _content(message, pictures)}]
        rounds = 0
        while True:
            incomplete, pieces, calls = Incomplete(), list[str](), list[Call]()
            for piece in incomplete.pass_on(self._stream(said[-1], calls)):
                pieces.append(piece)
                yield shown(piece)
            if incomplete.held and self._cut() is None:
                pieces.append(incomplete.held)
                yield incomplete.held
            said = [*said, *_assistant("".join(pieces), calls)]
            if not calls or self._stopping or rounds == MOST_ROUNDS:
                break
            rounds += 1
            said = [*said, {"role": "tool", "content": answer_all(calls, self._tools, self._tell)}]
        self._said, self._used, self._out_of_calls = said, self._native.token_count, bool(calls)

    def _stream(self, message: dict[str, Any], calls: list[Call]) -> Iterator[str]:
        self._running = True
        for part in self._native.send_message_async(message):
            if self._stopping:  # a cancel that comes before the engine has begun is lost
                self._native.cancel_process()
            content = part.to_json()
            calls += [Call.of(call) for call in content.get("tool_calls") or []]
            yield _text(content.get("content") or "")
        self._running = False

    def ending(self) -> Ending:
        """Why the last answer ended."""
        if self._stopping:
            return Ending.STOPPED
        if self._out_of_calls:
            return Ending.CALLS
        return self._cut() or Ending.DONE

    def _cut(self) -> Ending | None:
        """What cut the answer. One that needed its last token for the stop looks the same, and is told as cut."""
        if self._is_full():
            return Ending.CONTEXT
        speed = self.speed()
        return Ending.LIMIT if speed is not None and speed.tokens >= self._settings.limit else None

    def _is_full(self) -> bool:
        return self._engine.context is not None and self._native.token_count >= self._engine.context

    def stop(self) -> None:
        """Cancels the answer that is being streamed; afterwards :meth:`resume` is due."""
        self._stopping = True
        self._native.cancel_process()

    def resume(self) -> None:
        """Goes on with what was said so far, the stopped answer as far as it came."""
        self.begin(self._said)

    def speed(self) -> Speed | None:
        """What the engine measured over the last answer; None before the first, and where it was stopped at once."""
        try:
            found = self._native.get_benchmark_info()
        except RuntimeError:
            return None
        return Speed(found.last_decode_token_count, found.last_decode_tokens_per_second)

    def close(self) -> None:
        if self._native is None:
            return
        if self._running:  # nobody waits for the rest of the answer
            self._native.cancel_process()
        self._native.close()
        self._native, self._running = None, False

    def _failed(
        self, error: RuntimeError, message: str | None = None, pictures: Sequence[Picture] = ()
    ) -> ConvertError:
        cause = self._engine.log.cause()  # read in any case: what is left would be taken for the next one's
        text = str(error)
        if message is not None and _NO_ROOM.search(text):
            return self._no_room(message, pictures)
        if text.startswith(("litert_lm_", "Failed to")):  # names a function and no cause
            text = cause or text
        if "Failed to parse tool calls" in text:
            written = " ".join(shown(text).partition("code block: ")[2].partition(" full response: ")[0].split())
            found = f"the model wrote a call that cannot be read ({written[:MOST_SHOWN]})"
            return ArtifactError("chat", found, "Ask in other words, or leave --tools away")
        said = " ".join(shown(text).split())[:MOST_SHOWN]
        return ArtifactError("chat", f"the engine failed ({said})", "Judge the bundle with verify")

    def _no_room(self, message: str, pictures: Sequence[Picture]) -> FullError:
        context, needed = self._engine.context, len(self._engine.native.tokenize(harmless(message)))
        needed += sum(picture.tokens for picture in pictures)
        of = f" of {context}" if context else ""
        if not self._said or (context is not None and needed >= context):
            found = f"the message has {needed} tokens, which is more than the context{of} takes"
            advice = "Say it shorter, or build the bundle with a larger --context"
            return FullError("chat", found, advice, hopeless=True)
        found = f"the conversation is full: {self._used}{of} tokens are used, and the message has {needed}"
        return FullError("chat", found, "/new begins another one", hopeless=False)


def _content(message: str, pictures: Sequence[Picture]) -> str | list[dict[str, Any]]:
    if not pictures:
        return harmless(message)
    return [*(picture.part() for picture in pictures), {"type": "text", "text": harmless(message)}]


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(item.get("text", "") for item in content)


def _assistant(text: str, calls: list[Call]) -> list[dict[str, Any]]:
    """What the model said, as a message of the history; nothing where it said nothing."""
    made: dict[str, Any] = {"role": "assistant", "content": harmless(text)}
    if calls:
        made["tool_calls"] = harmless_values([call.to_json() for call in calls])
    return [made] if text or calls else []
