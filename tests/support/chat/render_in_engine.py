"""Renders conversations in the stock engine, in a process of its own: ``MODEL CACHE REQUEST.json ANSWER.json``.

A request is ``{"renders": [[template, messages, tools, context], ...], "sessions": [[text, template applies], ...]}``;
the answer has a text for each rendering (null where the engine fails), and for each session the score of a fixed
continuation before decoding and what it decodes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import litert_lm
from litert_lm import interfaces


class _Declared(interfaces.Tool):
    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description

    def get_tool_description(self) -> dict[str, Any]:
        return self._description

    def execute(self, param: Any) -> Any:
        raise AssertionError("nothing is called here")


def main(model: str, cache: str, request: dict[str, Any]) -> dict[str, Any]:
    litert_lm.set_min_log_severity(litert_lm.LogSeverity.SILENT)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    texts: list[str | None] = []
    sessions = []
    with litert_lm.Engine(model, backend=litert_lm.Backend.CPU(thread_count=1), cache_dir=cache) as engine:
        for template, messages, tools, context in request["renders"]:
            *history, last = messages
            with engine.create_conversation(
                messages=history or None,
                tools=[_Declared(tool) for tool in tools] or None,
                extra_context=context or None,
                chat_template=template,
                automatic_tool_calling=False,
            ) as conversation:
                texts.append(conversation.render_message_to_string(last) or None)
        for text, applies in request["sessions"]:
            with engine.create_session(apply_prompt_template=applies, sampler_config=greedy) as session:
                session.run_prefill([text])
                score = session.run_text_scoring(["It is blue"]).scores[0]
            with engine.create_session(
                apply_prompt_template=applies, sampler_config=greedy, max_output_tokens=12
            ) as session:
                session.run_prefill([text])
                sessions.append([score, session.run_decode().texts[0]])
    return {"renders": texts, "sessions": sessions}


if __name__ == "__main__":
    found = main(sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text("utf-8")))
    Path(sys.argv[4]).write_text(json.dumps(found), "utf-8")
