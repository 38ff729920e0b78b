"""What is put before a template so that it is given what transformers gives it: texts, answers of tools, tokens.

Each part rebinds a name at the top of the template and prints nothing: the line end after its last ``%}`` is dropped
by the renderer, and no blank that the template begins with. A template gets only the parts that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set

# The engine makes a list of one part out of every text.
TEXTS = """\
{%- set given = namespace(messages=[]) -%}
{%- for message in messages -%}
    {%- set parts = message['content'] -%}
    {%- if parts is sequence and parts is not string and parts|length == 1 and parts[0]['type'] == 'text' -%}
        {%- set given.messages = given.messages + [dict(message, content=parts[0]['text'])] -%}
    {%- else -%}
        {%- set given.messages = given.messages + [message] -%}
    {%- endif -%}
{%- endfor -%}
{%- set messages = given.messages %}
"""

# For a template that takes no lists at all: whatever has only texts becomes one.
JOINED = """\
{%- set given = namespace(messages=[], texts=[]) -%}
{%- for message in messages -%}
    {%- set parts = message['content'] -%}
    {%- if parts is sequence and parts is not string -%}
        {%- set given.texts = parts|selectattr('type', 'equalto', 'text')|list -%}
    {%- endif -%}
    {%- if parts is sequence and parts is not string and given.texts|length == parts|length -%}
        {%- set given.messages = given.messages + [dict(message, content=given.texts|map(attribute='text')|join)] -%}
    {%- else -%}
        {%- set given.messages = given.messages + [message] -%}
    {%- endif -%}
{%- endfor -%}
{%- set messages = given.messages %}
"""

# For a template that prints a content of null as Python does: filters and joins would print the engine's word.
NULLS = """\
{%- set given = namespace(messages=[]) -%}
{%- for message in messages -%}
    {%- if 'content' in message and message['content'] is eq(none) -%}
        {%- set given.messages = given.messages + [dict(message, content='None')] -%}
    {%- else -%}
        {%- set given.messages = given.messages + [message] -%}
    {%- endif -%}
{%- endfor -%}
{%- set messages = given.messages %}
"""

# The engine's answers of tools, put where Gemma's own form has them: on the message that called.
NATIVE_ANSWERS = """\
{%- set given = namespace(messages=[], answers=[], caller={}) -%}
{%- for message in messages -%}
    {%- set given.answers = [] -%}
    {%- if message['role'] == 'tool' and message['content'] is sequence and message['content'] is not string -%}
        {%- set given.answers = message['content']|selectattr('type', 'equalto', 'tool_response')|list -%}
    {%- endif -%}
    {%- if given.answers and given.messages -%}
        {%- set given.caller = given.messages[-1] -%}
        {%- set given.answers = given.caller['tool_responses']|default([]) + given.answers -%}
        {%- set given.messages = given.messages[:-1] + [dict(given.caller, tool_responses=given.answers)] -%}
    {%- else -%}
        {%- set given.messages = given.messages + [message] -%}
    {%- endif -%}
{%- endfor -%}
{%- set messages = given.messages %}
"""

# The same as messages of their own, each with a text: what the other templates read.
SPOKEN_ANSWERS = """\
{%- set given = namespace(messages=[], answers=[], calls=[], id='') -%}
{%- for message in messages -%}
    {%- set given.answers = [] -%}
    {%- if message['role'] == 'tool' and message['content'] is sequence and message['content'] is not string -%}
        {%- set given.answers = message['content']|selectattr('type', 'equalto', 'tool_response')|list -%}
    {%- endif -%}
    {%- for part in given.answers -%}
        {%- set text = part['response'] if part['response'] is string else part['response']|tojson -%}
        {%- set given.messages = given.messages + [dict(message, name=part['name'], content=text)] -%}
    {%- endfor -%}
    {%- if not given.answers -%}
        {%- set given.messages = given.messages + [message] -%}
    {%- endif -%}
{%- endfor -%}
{%- set messages = given.messages %}
"""

# None, True and False as Python prints them; called where a template prints a value as it is.
PRINTED = """\
{%- macro as_python(value) -%}
    {{- 'None' if value is eq(none) else 'True' if value is true else 'False' if value is false else value -}}
{%- endmacro %}
"""


def without_start(body: str, start: str) -> str:
    """A template that writes the start token itself, without it: the engine puts one before every conversation."""
    told = json.dumps(start, ensure_ascii=False)
    cut = f"{{{{ whole[{len(start)}:] if whole is startingwith({told}) else whole }}}}"
    return f"{{% set whole %}}\n{body}{{%+ endset %}}{cut}"


# Names that transformers always gives, as none where there is nothing.
ALWAYS = ("tools", "documents")


def names(used: Set[str], asked_after: Set[str], tokens: Mapping[str, str]) -> str:
    """Assignments for names that the engine leaves out or empty.

    The start token is not among them: the engine puts it before every conversation itself.

    Args:
        used: names that the template takes from outside.
        asked_after: those of ``ALWAYS`` that it tests for being defined or none.
        tokens: special tokens by name.
    """
    lines = [f"{{%- set {name} = [{name}, none]|select('defined')|first %}}" for name in ALWAYS if name in asked_after]
    for name in sorted((used & tokens.keys()) - {"bos_token"}):
        lines.append(f"{{%- set {name} = {json.dumps(tokens[name], ensure_ascii=False)} %}}")
    return "".join(line + "\n" for line in lines)
