"""Templates, conversations and constructs of Jinja, for the samples' interpreters: what transformers makes of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convert import demo
from runtime_tests.litert.engine.template import native, spoken
from runtime_tests.questions.conversations import CONVERSATIONS
from tests.support.chat.chat_templates import KINDS

TEMPLATES = {"demo": (demo.folder() / "chat_template.jinja").read_text("utf-8"), **KINDS}


REASONING = ("reasoning_content", "thinking", "reasoning")


TOKENS = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}


@dataclass(frozen=True)
class Made:
    """What became of a template: its text, or why there is none."""

    text: str | None
    error: str | None = None


def expected(source: str, variables: dict[str, Any]) -> Made:
    """The same in transformers."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    try:
        return Made(_compile_jinja_template(source).render(**variables))
    except Exception as error:
        return Made(None, str(error))


def variables(messages: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """What transformers gives a template: thoughts under all their names, what is not there as null."""
    given = []
    for message in messages:
        thought = next((message[name] for name in REASONING if message.get(name) is not None), None)
        given.append(message if thought is None else {**message, **dict.fromkeys(REASONING, thought)})
    return {"messages": given, "tools": None, "documents": None, "add_generation_prompt": True, **TOKENS, **more}


def judged() -> tuple[list[dict[str, Any]], list[str]]:
    """Variables and names of the conversations that the judge renders: in both forms, with a reply opened or not."""
    given, names = [], []
    for item in CONVERSATIONS:
        for form in (native, spoken):
            for reply in (True, False):
                more = {"tools": list(item.tools) or None, "add_generation_prompt": reply, **item.context}
                given.append(variables(form(item.messages), **more))
                names.append(f"{item.name}, {form.__name__}, {reply}")
    return given, names


def alike(found: Sequence[Made], wanted: Sequence[Made], names: Sequence[str]) -> list[str]:
    """The names of what differs. Both may refuse, in words of their own."""
    return [
        f"{name}: {one} instead of {other}"
        for name, one, other in zip(names, found, wanted, strict=True)
        if one.text != other.text
    ]


PIECES = (
    *("Hello", "what is 2 + 2?", " ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\x1c", "\u2028", ""),
    *("<turn|>", "<|turn>model\n", "<bos>", "<|channel>thought\n", "<channel|>", '<|"|>', "{{ x }}", "{% if %}", "{#"),
    *(
        "e\u0301",
        "\u00e9",
        "Ωσ",
        "ß",
        "日本語",
        "한국",
        "שלום",
        "👩🏽\u200d🚀",
        "नमस्ते",
        "'",
        '"',
        "\\n",
        "\\",
        "\x00",
        "\x7f",
    ),
)


def conversations(seed: int, count: int) -> list[list[dict[str, Any]]]:
    draw = random.Random(seed)
    out = []
    for _ in range(count):
        roles = ["system"] if draw.random() < 0.3 else []
        for _ in range(draw.randrange(1, 5)):
            roles += ["user", "assistant"] if draw.random() < 0.9 else [draw.choice(("user", "assistant", "system"))]
        if draw.random() < 0.8 and roles[-1] == "assistant":
            roles.pop()
        texts = ["".join(draw.choices(PIECES, k=draw.randrange(0, 8))) for _ in roles]
        out.append([{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)])
    return out


GIVEN: dict[str, Any] = {
    "yes": True,
    "no": False,
    "nothing": None,
    "seven": 7,
    "half": 0.5,
    "word": "Hello World",
    "blank": "  a b \n",
    "odd": "e\u0301\u00e9 ΑΣ ß ﬁ ǆ 👩🏽\u200d🚀 \x00\x7f\u200b\u2028'\"\\",
    "empty": "",
    "numbers": [3, 1, 2],
    "words": ["b", "A", "c", "B"],
    "nested": {"b": [1, {"c": None}], "A": "x", "a": {"z": 1.0}},
    "people": [{"name": "Ada", "age": 36, "at": {"city": "Paris"}}, {"name": "bo"}, {"name": "Cy", "age": 5}],
    "items_like": {"items": 1, "get": 2},
    "call": {"function": {"name": "f", "arguments": {"x": 1, "y": [True, None, 1e16, 1.5e-7, "q'\""]}}},
}


# One after another, with a bar between them; a line that begins with # says what follows.
EXPRESSIONS = r"""
# Literals and how they are printed
1 ¦ 1.5 ¦ 1e3 ¦ 1_000 ¦ 0 ¦ true ¦ False ¦ none ¦ None ¦ 'a' 'b' ¦ 'it\'s' ¦ '\n\t\x41\u00e9\q\\\101'
[1, 'a', none, true] ¦ (1,) ¦ (1, 2) ¦ () ¦ [] ¦ {} ¦ {'a': 1, 'b': [2]} ¦ {1: 2} ¦ 1, 2 ¦ [[]] ¦ 1e16
123456789012345680.0 ¦ 1e-5 ¦ 0.0001 ¦ 100.0 ¦ 1.0e22 ¦ 5e-324 ¦ -0.5 ¦ 12.25 ¦ 1/3 ¦ 2**0.5 ¦ odd ¦ [odd]
nested ¦ call ¦ yes ¦ nothing ¦ half ¦ missing ¦ [missing] ¦ missing.x ¦ nothing.x
# Operators and their order
1 + 2 * 3 ¦ (1 + 2) * 3 ¦ 7 // 2 ¦ -7 // 2 ¦ 7 % 3 ¦ -7 % 3 ¦ 7 / 2 ¦ 7.5 % 2 ¦ -7.5 // 2 ¦ 2 ** 3 ** 2
-2 ** 2 ¦ 1 ~ 2 + 3 ¦ 'a' ~ none ~ 1.0 ¦ 'a' + 'b' ¦ 'a' * 3 ¦ [1] + [2] ¦ [0] * 2 ¦ 1 + 'a' ¦ true + 1
1 < 2 < 3 ¦ 1 < 2 > 3 ¦ 'a' < 'b' ¦ 'B' < 'a' ¦ [1, 2] < [1, 3] ¦ 1 == 1.0 ¦ 1 == true ¦ '1' == 1
'e\u0301' == '\u00e9' ¦ none == false ¦ [1] == [1] ¦ (1,) == [1] ¦ {'a': 1} == {'a': 1.0} ¦ missing == none
1 in [1, 2] ¦ 'a' in 'cat' ¦ 'x' not in word ¦ 'b' in nested ¦ 1 in 'a' ¦ none in [none] ¦ '' in '' ¦ not 1
not not '' ¦ 1 and 2 ¦ 0 or 'x' ¦ '' or none ¦ not 1 == 2 ¦ 1 if yes ¦ 1 if no ¦ 1 if no else 2
1 if no else 2 if no else 3 ¦ 'a' if yes and no else 'b' ¦ missing or 'd' ¦ 1 == 1 and 2 == 2 or 3 ¦ +seven
1 / 0 ¦ 1 % 0 ¦ 1 < 'a' ¦ missing + 1 ¦ -word ¦ 9223372036854775807 ¦ seven is not none and seven
# Members and slices
word[0] ¦ word[-1] ¦ word[99] ¦ odd[1] ¦ numbers[0] ¦ numbers[-4] ¦ nested['b'][1]['c'] ¦ nested.a.z ¦ word[1:]
word[:-1] ¦ word[::2] ¦ word[::-1] ¦ word[3:1] ¦ word[-3:] ¦ numbers[1:] ¦ numbers[::-1] ¦ numbers[-2:]
numbers[5:] ¦ numbers[:1] ¦ numbers[1:0:-1] ¦ (1, 2, 3)[1:] ¦ odd[:2] ¦ numbers[:none] ¦ nested.b.0
nested['nope'] ¦ nested.nope ¦ items_like['items'] ¦ people[0].name ¦ word.nope ¦ seven.x
nested['items'] is mapping ¦ 'yes' if nested['items'] ¦ items_like.items is mapping
items_like.items == 1 ¦ items_like['items'] == 1 ¦ nothing['x']
# Filters
word | upper ¦ word | lower ¦ odd | upper ¦ odd | lower ¦ 'hELLO wORLD' | capitalize ¦ word | length
odd | length ¦ numbers | length ¦ nested | length ¦ missing | length ¦ blank | trim ¦ 'xxaxx' | trim('x')
none | trim ¦ missing | trim ¦ missing | default('d') ¦ '' | default('d') ¦ '' | default('d', true)
'' | d('e', boolean=true) ¦ none | default(1) ¦ missing | default ¦ numbers | first ¦ numbers | last
[] | first ¦ word | first ¦ numbers | join(', ') ¦ people | join('+', attribute='name') ¦ word | join('-')
[1, none, 'a'] | join ¦ numbers | sort ¦ words | sort ¦ words | sort(case_sensitive=true) ¦ nested | dictsort
words | sort(reverse=true) ¦ people | sort(attribute='name') | map(attribute='name') | list ¦ [1, 'a'] | sort
nested | dictsort(true) ¦ {'x': 2, 'y': 1} | dictsort(by='value') ¦ {'x': 2, 'y': 1} | dictsort(reverse=true)
numbers | sum ¦ people | map(attribute='age', default=0) | sum ¦ numbers | min ¦ words | max ¦ [] | max
people | map(attribute='name') | join(',') ¦ people | map(attribute='at.city') | list
words | map('upper') | list ¦ [' a '] | map('trim') | list ¦ ['a'] | map('replace', 'a', 'b') | list
numbers | map('string') | join ¦ people | selectattr('age') | list | length
people | selectattr('age', 'defined') | map(attribute='name') | list
people | selectattr('name', 'equalto', 'bo') | list ¦ people | rejectattr('age') | list
numbers | select('odd') | list ¦ numbers | reject('gt', 1) | list ¦ [0, 1, ''] | select | list
't' if [] | select ¦ numbers | reverse | list ¦ word | reverse ¦ words | unique | list
word | replace('o', '0') ¦ word | replace('o', '0', 1) ¦ 12 | string + 'a' ¦ '3' | int ¦ '3.7' | int ¦ 'x' | int
'x' | int(default=5) ¦ 3.9 | int ¦ -3.9 | int ¦ '2.5' | float ¦ 'x' | float ¦ true | int ¦ 2.5 | round
3.5 | round ¦ 2.567 | round(2) ¦ 2.1 | round(0, 'ceil') ¦ 2.9 | round(method='floor') ¦ 7 | round ¦ -3 | abs
-1 | abs ¦ 'a\nb\n\nc' | indent ¦ 'a\nb' | indent(2, true) ¦ 'a\n\nb' | indent(1, blank=true)
'a\nb' | indent('> ') ¦ nested | tojson ¦ nested | tojson(indent=2) ¦ nested | tojson(sort_keys=true)
odd | tojson ¦ odd | tojson(ensure_ascii=true) ¦ call | tojson(separators=(',', ':')) ¦ [] | tojson(indent=1)
{1: 2, none: true} | tojson ¦ missing | tojson ¦ word | list ¦ nested | list ¦ nested | items | list
'hello wORLD-foo (bar' | title ¦ 1 | upper ¦ word | upper | lower ~ 'A' ¦ -1 | string
missing | map('upper') | list ¦ 1 | length ¦ seven | first ¦ numbers|string
# Tests
missing is defined ¦ nothing is defined ¦ missing is undefined ¦ nothing is none ¦ word is string
seven is string ¦ nested is mapping ¦ numbers is mapping ¦ word is sequence ¦ nested is sequence
seven is sequence ¦ missing is sequence ¦ numbers is iterable ¦ seven is iterable ¦ missing is iterable
yes is boolean ¦ seven is boolean ¦ yes is number ¦ seven is number ¦ half is number ¦ seven is integer
yes is integer ¦ half is float ¦ seven is even ¦ seven is odd ¦ 6 is divisibleby 3 ¦ 6 is divisibleby(4)
seven is eq 7 ¦ seven is equalto(8) ¦ seven is gt 6 ¦ seven is ne 7 ¦ yes is true ¦ 1 is true ¦ no is false
'a' is in ['a'] ¦ word is not string ¦ 'abc' is lower ¦ '123' is lower ¦ 'ABC' is upper ¦ none is sameas none
true is sameas 1 ¦ missing is not defined and 1 ¦ word is string ~ 'x'
# Methods
' a '.strip() ¦ 'xax'.strip('x') ¦ ' a '.lstrip() ~ '|' ¦ ' a '.rstrip() ~ '|' ¦ 'a,b,c'.split(',')
' a  b '.split() ¦ 'a,b,c'.split(',', 1) ¦ 'a b c'.split(none, 1) ¦ 'a,b,c'.split(',', maxsplit=1)
'a,b,c'.rsplit(',', 1) ¦ 'abab'.rsplit('ab') ¦ 'a'.split(',') ¦ ''.split(',') ¦ ''.split()
'abc'.startswith('ab') ¦ 'abc'.endswith('bc') ¦ 'abc'.startswith(('x', 'a')) ¦ 'abc'.replace('b', 'x')
'aaa'.replace('a', 'b', 2) ¦ 'AbC'.upper() ¦ 'AbC'.lower() ¦ 'aBC dE'.title() ¦ 'aBC'.capitalize()
','.join(['a', 'b']) ¦ ','.join([1]) ¦ 'abcabc'.find('c') ¦ 'abcabc'.rfind('c') ¦ 'abc'.find('x')
'aXbX'.count('X') ¦ 'a\nb\r\nc\n'.splitlines() ¦ 'abc'.removeprefix('a') ¦ 'abc'.removesuffix('c')
'abc'.removeprefix('b') ¦ 'a=b=c'.partition('=') ¦ 'a=b=c'.rpartition('=') ¦ 'a'.partition('=') ¦ '12'.isdigit()
''.isdigit() ¦ ' '.isspace() ¦ 'éa'.find('a') ¦ nested.get('b') ¦ nested.get('q') ¦ nested.get('q', 1)
nested.keys() | list ¦ nested.values() | list ¦ nested.items() | list ¦ numbers.index(1) ¦ numbers.count(1)
numbers.index(9) ¦ missing.strip() ¦ nothing.strip() ¦ word.split(' ')[0].lower()
# Functions
range(3) | list ¦ range(1, 7, 2) | list ¦ range(3, 0, -1) | list ¦ range(0) | list ¦ dict(a=1, b='x')
dict(nested, b=0) ¦ raise_exception('no') ¦ namespace(a=1).a ¦ dict([('a', 1)]) ¦ strftime_now('%Y')
range('a') ¦ range(0, 5, 0)
"""


BLOCKS = (
    # Blanks around tags
    *(
        "a {{ 1 }} b",
        "a {{- 1 -}} b",
        "a \n {%- if 1 -%} \n x \n {%- endif -%} \n b",
        "a\n  {% if 1 %}\n  x\n  {% endif %}\n  b\n",
    ),
    *(
        "a\n  {%+ if 1 %}\n  x\n  {% endif +%}\n  b\n\n",
        "{# c #}\n x {# c -#}\n y {#- c #} z",
        "  {# c #}  \n  {{ 1 }}\n",
        "\n\n",
    ),
    *(
        "a\r\n{% if 1 %}\r\nb\r\n{% endif %}\r\nc\r",
        "{% raw %}{{ 1 }}{% x %}{# y #}{% endraw %}",
        "  {% raw -%}  \n a  {%- endraw %}\n b",
    ),
    *(
        "{%-raw%} {% endraw %}.",
        " {{ '%}' }} {{ '}}' }} {{ {'a': {'b': 1}} }} {# }} %} #}",
        "{{ 1 }}\n",
        "{{ 1 }}\n\n",
        "",
        "\n",
    ),
    *(
        "{% if 1 %}x{% endif %} \n y",
        "{%- if 1 %}\n\nx{% endif -%}\n\n y",
        "\u00a0{%- if 1 %}x{% endif -%}\u2003y",
        "a{#-#}b",
    ),
    *(
        "{% set x = 1 %}\n{% set y = 2 %}\n{{ x }}{{ y }}",
        "  {% set x = 1 %}  {{ x }}",
        "x  {%- set a = 1 +%}\n y",
        "{{ 1 -}}\n  {% if 1 %}x{% endif %}",
        "{% set x = 1 %}\n  {% if 1 %}\n  x\n  {% endif %}\n  y",
        "{# c #}\n  {# d #}x",
    ),
    # if
    *(
        "{% if no %}a{% elif yes %}b{% else %}c{% endif %}",
        "{% if no %}a{% elif no %}b{% else %}c{% endif %}",
        "{% if missing %}a{% endif %}",
    ),
    # for
    *("{% for x in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{% endfor %}",),
    *("{% for x in words %}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth0 }}{% endfor %}",),
    *(
        "{% for x in numbers %}{{ loop.previtem }}-{{ loop.nextitem }};{% endfor %}",
        "{% for x in [] %}a{% else %}b{% endfor %}",
    ),
    *(
        "{% for x in numbers if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{% else %}none{% endfor %}",
        "{% for c in 'aé' %}[{{ c }}]{% endfor %}",
    ),
    *(
        "{% for x in numbers if x > 9 %}{{ x }}{% else %}none{% endfor %}",
        "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}",
    ),
    *(
        "{% for k in nested %}{{ k }}{% endfor %}",
        "{% for k, v in nested | dictsort %}{{ k }}{% endfor %}",
        "{% for x in missing %}a{% endfor %}",
    ),
    *(
        "{% for x in nothing %}a{% endfor %}",
        "{% for x in seven %}a{% endfor %}",
        "{% for a, b in [1] %}{% endfor %}",
        "{% for a, b in ['xy'] %}{{ b }}{% endfor %}",
    ),
    *(
        "{% for x in numbers %}{% for y in 'ab' %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
        "{% for x in 1, 2 %}{{ x }}{% endfor %}",
    ),
    *("{% for x in range(9) %}{% if x==2 %}{% continue %}{% elif x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",),
    *(
        "{% for x in numbers %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
        "{% for x in words | map('lower') %}{{ x }}{% endfor %}",
    ),
    # The test of a loop sees what the body has changed, but for items that were looked ahead at
    *(
        "{% set n = namespace(a=1) %}{% for x in [1, 2, 3, 4] if x > n.a %}{{ x }}{% set n.a = 3 %}{% endfor %}",
        "{% set n = namespace(a=1) %}{% for x in [2, 3] if x > n.a %}{{ x, loop.last }}{% set n.a = 3 %}{% endfor %}",
        "{% set n = namespace(a=1) %}{% for x in [2, 3] if x > n.a %}{{ x, loop.length }}{% set n.a = 3 %}{% endfor %}",
        "{% set n = namespace(a=1) %}{% for x in [2, 3] if x > n.a %}{{ loop.nextitem }}{% set n.a = 3 %}{% endfor %}",
    ),
    # set and scopes
    *(
        "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
        "{% set a, b = [1] %}",
        "{% set x = 1 %}{% for i in numbers %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    ),
    *(
        "{% if yes %}{% set x = 1 %}{% endif %}{{ x }}",
        "{% set x %}a{{ 1 }}{% set y = 2 %}{% endset %}[{{ x }}]{{ y }}",
        "{% set x | upper | trim %} ab {% endset %}{{ x }}",
    ),
    *(
        "{% set n = namespace(a=1) %}{% for i in numbers %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}{{ n.b }}",
        "{% set n = namespace() %}{% set n.x %}y{% endset %}{{ n['x'] }}",
    ),
    *(
        "{% set nested.a = 1 %}",
        "{% set n = namespace(nested) %}{{ n.A }}",
        "{% set seven = 8 %}{{ seven }}",
        "{% set x = (1, 2) %}{{ x }}",
        "{% set x = 1, %}{{ x }}",
    ),
    *(
        "{% set s = numbers | map('string') %}{{ s | join }}{{ s | join }}",
        "{% set g = numbers | select %}{{ g | first }}{{ g | list }}",
        "{% set n = namespace(_a=1) %}",
    ),
    # macro
    *("{% macro m(a, b='d', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(c=3, a=0) }}",),
    *(
        "{% macro m(a) %}x{% endmacro %}{{ m(1, 2) }}",
        "{% macro m(a) %}x{% endmacro %}{{ m(b=2) }}",
        "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}",
    ),
    *(
        "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
        "{{ f is defined }}{% macro f() %}{% endmacro %}{{ f is defined }}",
    ),
    *(
        "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{% set x = 2 %}{{ m() }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    ),
    *(
        "{% macro m() %} x {% endmacro %}[{{ m() | trim }}]{{ m() ~ 1 }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{% for i in numbers %}{{ m(i) }}{% endfor %}",
        "{{ m(1) }}{% macro m(x) %}{{ x }}{% endmacro %}",
    ),
    *(
        "{% generation %}a{% set z = 1 %}{{ seven }}{% endgeneration %}{{ z }}",
        "{% if 0 %}{{ raise_exception('x') }}{% endif %}ok",
        "{{ seven and raise_exception('said so') }}",
    ),
)


def expressions() -> list[str]:
    lines = [line for line in EXPRESSIONS.splitlines() if line and not line.startswith("#")]
    return [one for line in lines for one in line.split(" ¦ ")]
