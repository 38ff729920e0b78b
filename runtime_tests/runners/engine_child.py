"""The process that loads the stock engine. It reads a request from a file and writes its answer to another.

It is a process of its own because native code may crash; then the judge reports it and goes on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the prompts of a request: see :class:`runtime_tests.runners.engine.Request` for its fields."""
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    out: dict[str, Any] = {"texts": [], "tokens": [], "chats": [], "rendered": [], "chat_tokens": [], "failed": []}
    cpu = litert_lm.Backend.CPU(thread_count=request["threads"])
    with litert_lm.Engine(request["model"], backend=cpu, cache_dir=request["cache"]) as engine:
        out["start"], out["stops"] = engine.bos_token_id, engine.eos_token_ids
        for i, prompt in enumerate(request["prompts"]):
            out["tokens"].append(list(engine.tokenize(prompt)))
            with engine.create_session(
                apply_prompt_template=False, sampler_config=greedy, max_output_tokens=request["steps"]
            ) as session:
                try:
                    session.run_prefill([prompt])
                    out["texts"].append(session.run_decode().texts[0])
                except RuntimeError as error:  # a ruined model fails on some prompts; the others still tell how ruined
                    out["texts"].append("")
                    out["failed"].append(f"prompt {i}: {error}")
        out["spelled"] = [list(engine.tokenize(text)) for text in request["spell"]]
        out["again"] = [engine.detokenize(ids) for ids in out["spelled"]]
        out["expected"] = [engine.detokenize(ids) if ids else "" for ids in request["detokenize"]]
        for *history, message in request["chats"]:
            with engine.create_conversation(
                messages=history or None, sampler_config=greedy, max_output_tokens=request["chat_steps"]
            ) as conversation:
                out["rendered"].append(conversation.render_message_to_string(message))
                reply = conversation.send_message(message)
                out["chats"].append(_text(reply))
                out["chat_tokens"].append(conversation.token_count)
    return out


def _text(message: Any) -> str:
    found = message.to_json() if hasattr(message, "to_json") else message
    content = found.get("content", "") if isinstance(found, dict) else str(found)
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


if __name__ == "__main__":
    given, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(json.dumps(answer(json.loads(given.read_text("utf-8")))), "utf-8")
