"""Chat templates of the kinds that people have, for tests."""

from __future__ import annotations

import re

from tests.support.checkpoints.published import companions as published

PUBLISHED = published.chat_template()
# As older published templates have it.
WITH_DEFAULTS = re.sub(r"(\w+)\.get\('(\w+)'\)", r"\1.get('\2', none)", PUBLISHED)
# A fine-tune's: the content is added as text.
ADDING = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' "
    "+ message['content'].strip() + '<turn|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn>model\\n' }}{% endif %}"
)
# In the manner of earlier Gemmas: no system turn, turns that alternate.
ALTERNATING = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('not in turn') }}{% endif %}"
    "{{ '<|turn>' ~ message['role'] ~ '\\n' ~ message['content'] | trim ~ '<turn|>\\n' }}"
    "{% endfor %}{%- if add_generation_prompt -%}{{ '<|turn>assistant\\n' }}{%- endif -%}"
)
# Tools' answers as messages, marks for training, Windows line ends, a start token of its own.
SPOKEN = (
    "<bos>{%- if tools is not none -%}{{ tools | tojson(ensure_ascii=False) }}{%- endif -%}\r\n"
    "{%- for m in messages -%}<|turn>{{ m.role }}\n"
    "{%- for c in m.get('tool_calls') or [] -%}<|tool_call>{{ c.function.name }}<tool_call|>{%- endfor -%}"
    "{%- generation -%}{%- if m.content is string -%}{{ m.content.split('</x>')[-1].lstrip() }}{%- endif -%}"
    "{%- endgeneration -%}<turn|>{{ eos_token }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|turn>assistant{%- endif -%}"
)
KINDS = {
    "published": PUBLISHED,
    "with defaults": WITH_DEFAULTS,
    "adding": ADDING,
    "alternating": ALTERNATING,
    "spoken": SPOKEN,
}
PLAIN = (
    "{%- for m in messages -%}{{ m['role'] }}: {{ m['content'] if m['content'] is string else '' }};{%- endfor -%}\n"
)
