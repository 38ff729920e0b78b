"""The process that loads the stock engine. It reads a request from a file and writes its answer to another.

It is a process of its own because native code may crash; then the judge reports it and goes on.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST = 300  # characters of the engine's words


class Log:
    """What the engine says on stderr, which is a file: the binding's exceptions name the call and no cause."""

    def __init__(self, path: str) -> None:
        self.path, self.read = Path(path), 0

    def new(self) -> str:
        """What was said since the last call."""
        with self.path.open("rb") as file:
            file.seek(self.read)
            found = file.read()
        self.read += len(found)
        return found.decode("utf-8", "replace")

    def success(self) -> float | None:
        """The fraction of drafts that the engine says it accepted; None where it says nothing."""
        told = re.findall(r"MTP Drafter - Success rate: ([0-9.eE+-]+)", self.path.read_text("utf-8", "replace"))
        return float(told[-1]) if told else None

    def cause(self, error: object = "") -> str:
        """The last error of the engine since the last call, in its words, or else ``error``'s; one line."""
        told = re.findall(r"^[EF]\d{4} [^\]]*\] (?:Failed to \w+ message: )?(.*)$", self.new(), re.MULTILINE)
        return " ".join((told[-1] if told else str(error) or type(error).__name__).split())[:MOST]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the prompts of a request: see :class:`runtime_tests.litert.runners.engine.Request` for its fields.

    What fails fails for itself: a ruined model fails on some prompts, and the others still tell how ruined.
    """
    import litert_lm

    severity = litert_lm.LogSeverity
    litert_lm.set_min_log_severity(severity.INFO if request["drafted"] else severity.ERROR)
    log = Log(request["log"])
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    out: dict[str, Any] = {"texts": [], "tokens": [], "chats": [], "chat_tokens": [], "failed": []}
    cpu = litert_lm.Backend.CPU(thread_count=request["threads"])
    try:
        opened = litert_lm.Engine(
            request["model"],
            backend=cpu,
            cache_dir=request["cache"],
            enable_speculative_decoding=request["drafted"] or None,
            vision_backend=cpu if request["images"] else None,
            max_num_images=request["images"] or None,
        )
    except RuntimeError as error:
        return {"error": log.cause(error)}
    with opened as engine:
        out["start"], out["stops"] = engine.bos_token_id, engine.eos_token_ids
        steps, judge = request["steps"], os.getppid()
        limits = steps if isinstance(steps, list) else [steps] * len(request["prompts"])
        for i, (prompt, limit) in enumerate(zip(request["prompts"], limits, strict=True)):
            if os.getppid() != judge:  # nobody waits for the answer
                raise SystemExit(1)
            out["tokens"].append(list(engine.tokenize(prompt)))
            with engine.create_session(
                apply_prompt_template=False, sampler_config=greedy, max_output_tokens=limit
            ) as session:
                try:
                    session.run_prefill([prompt])
                    out["texts"].append(session.run_decode().texts[0])
                    _say(request["said"], {"prompt": i, "text": out["texts"][-1], "tokens": out["tokens"][-1]})
                except RuntimeError as error:
                    out["texts"].append("")
                    out["failed"].append(f"prompt {i}: {log.cause(error)}")
        out["spelled"] = [list(engine.tokenize(text)) for text in request["spell"]]
        out["again"] = [engine.detokenize(ids) for ids in out["spelled"]]
        out["expected"] = [engine.detokenize(ids) if ids else "" for ids in request["detokenize"]]
        for i, (*history, message) in enumerate(request["chats"]):
            try:
                with engine.create_conversation(
                    messages=history or None, sampler_config=greedy, max_output_tokens=request["chat_steps"]
                ) as conversation:
                    said, count = _text(conversation.send_message(message)), conversation.token_count
            except RuntimeError as error:
                said, count = "", 0
                out["failed"].append(f"chat {i}: {log.cause(error)}")
            out["chats"].append(said)
            out["chat_tokens"].append(count)
        declared = _tool_class(litert_lm.Tool)
        out["rendered"], out["refused"] = [], []
        for item in request["renders"]:
            text, refused = _render(engine, item, declared, log)
            out["rendered"].append(text)
            out["refused"].append(refused)
    out["success"] = log.success()  # which the engine says when it ends
    return out


def _say(path: str, answer: dict[str, Any]) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")


def _render(engine: Any, item: dict[str, Any], declared: Callable[[Any], Any], log: Log) -> tuple[str | None, str]:
    """A conversation as text, or the engine's words; nothing is computed."""
    *history, message = item["messages"]
    log.new()
    try:
        with engine.create_conversation(
            messages=history or None,
            tools=[declared(tool) for tool in item["tools"]] or None,
            extra_context=item["context"] or None,
        ) as conversation:
            text = conversation.render_message_to_string(message)
    except (RuntimeError, ValueError) as error:
        return None, log.cause(error)
    return (text, "") if text else (None, log.cause("no text"))  # the binding returns an empty text on failure


def _tool_class(base: Any) -> Callable[[Any], Any]:
    class Declared(base):
        """A tool that is declared and never run."""

        def __init__(self, description: Any) -> None:
            self.description = description

        def get_tool_description(self) -> Any:
            return self.description

        def execute(self, param: Any) -> Any:
            raise NotImplementedError(param)

    return Declared


def _text(message: Any) -> str:
    found = message.to_json() if hasattr(message, "to_json") else message
    content = found.get("content", "") if isinstance(found, dict) else str(found)
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


if __name__ == "__main__":
    given, target = Path(sys.argv[1]), Path(sys.argv[2])
    request = json.loads(given.read_text("utf-8"))
    try:
        made = answer(request)
    except Exception as error:  # told as one line; a traceback helps nobody who reads a report
        made = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:MOST]}
    target.write_text(json.dumps(made), "utf-8")
