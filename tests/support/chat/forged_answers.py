"""A checkpoint whose model answers what a test chooses: the demo's weights, with tokens that are spelled otherwise.

The demo answers ``QUESTION`` with the three tokens J, P and N. Their pieces change places with other pieces of the
tokenizer, so that the same ids, in the same order, spell three texts of the test's choice.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from convert import demo

QUESTION = "What is the three-letter code of Japan?"
_LETTERS = "JPN"

# Declares tools, and shows calls and their answers as the engine hands them over.
TOOL_TEMPLATE = """\
{{- bos_token -}}
{%- if tools -%}
    <|turn>system
    {%- for tool in tools %}
<|tool>{{ tool['function']['name'] }}: {{ tool['function']['description'] }}<tool|>
    {%- endfor %}<turn|>
{% endif -%}
{%- for message in messages -%}
    <|turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}
{% for call in message['tool_calls'] or [] -%}
    <|tool_call>call:{{ call['function']['name'] }}{{ call['function']['arguments'] | tojson }}<tool_call|>
    {%- endfor -%}
    {%- if message['content'] is string -%}
        {{- message['content'] | trim -}}
    {%- else -%}
        {%- for part in message['content'] or [] -%}
            {%- if part['type'] == 'text' -%}
                {{- part['text'] | trim -}}
            {%- elif part['type'] == 'tool_response' -%}
                <|tool_response>{{ part['name'] }}: {{ part['response'] | tojson }}<tool_response|>
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}<turn|>
{% endfor -%}
{%- if add_generation_prompt -%}
    <|turn>model
{% endif -%}
"""


def write(folder: Path, spelled: tuple[str, str, str], template: str | None = None) -> Path:
    """Copies the demo into ``folder``, to answer ``QUESTION`` with the three texts.

    Args:
        spelled: pieces of the vocabulary, special tokens included, or any other text that becomes one.
        template: the chat template; by default the demo's.
    """
    shutil.copytree(demo.folder(), folder)
    for name in ("evaluation.jsonl", "accuracy.json"):  # questions that are not asked here
        (folder / name).unlink()
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    for letter, piece in zip(_LETTERS, spelled, strict=True):
        if piece not in vocabulary:  # takes the place of one that no text has
            unused = max((name for name in vocabulary if name.startswith("<unused")), key=vocabulary.__getitem__)
            vocabulary[piece] = vocabulary.pop(unused)
            added[:] = [token for token in added if token["content"] != unused]
        vocabulary[letter], vocabulary[piece] = vocabulary[piece], vocabulary[letter]
        for token in added:
            if token["content"] == piece:
                token["id"] = vocabulary[piece]
    added.sort(key=lambda token: token["id"])
    path.write_text(json.dumps(tokenizer), "utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return folder
