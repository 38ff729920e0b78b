"""Chat templates for the engine: adapted, proven over conversations, or refused by name."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from convert import demo
from convert.chat_template import adapt as adapting
from convert.chat_template import preamble
from convert.chat_template.adapt import RefusedError, adapt
from convert.chat_template.expressions import rewrite
from convert.chat_template.prepare import prepare
from convert.chat_template.source import Source, read, special_tokens
from convert.errors import CheckpointError
from tests.support.chat.chat_templates import ADDING, KINDS, PLAIN, PUBLISHED

TOKENS = special_tokens(json.loads((demo.folder() / "tokenizer_config.json").read_text("utf-8")))


def source(text: str) -> Source:
    return Source(text, "chat_template.jinja", TOKENS)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("{{ a.get('x') }}", "{{ ([a['x'], none]|select('defined')|first) }}"),
        (
            "{{ (m.get('a') or {}).get('b', [1, 2]) }}",
            "{{ ([(([m['a'], none]|select('defined')|first) or {})['b'], [1, 2]]|select('defined')|first) }}",
        ),
        ("{{ a.b['c'].split('x, )')[-1].strip() }}", "{{ ((a.b['c']|split('x, )')|list)[-1]|trim) }}"),
        ("{% if not a.startswith('(') %}", "{% if not (a is startingwith('(')) %}"),
        ("{{ ', '.join(a) }}", "{{ (a|join(', ')) }}"),
        ("{% if a is not none and b is none %}", "{% if a is not eq(none) and b is eq(none) %}"),
        ("{{ a | default('b', boolean=true) }}", "{{ a | default('b', true) }}"),
        ("{%- endgeneration -%}", "{%- endwith -%}"),
        ("{{ '.get(1) is none' }}", "{{ '.get(1) is none' }}"),
        ("{{ a.get(key='x') }}", "{{ a.get(key='x') }}"),
    ],
)
def test_code_is_said_in_the_engines_words_and_texts_in_it_are_left_alone(code: str, expected: str) -> None:
    assert rewrite(code, Counter()) == expected


def test_a_template_that_needs_nothing_stays_as_it_is() -> None:
    text = (demo.folder() / "chat_template.jinja").read_text("utf-8")
    adapted = adapt(source(text))
    assert (adapted.text, adapted.changes) == (text, ())
    assert (adapted.tools, adapted.thinking) == (False, False)
    assert adapted.conversations > 15


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_template_is_adapted(kind: str) -> None:
    adapted = adapt(source(KINDS[kind]))
    assert adapted.changes
    assert adapted.tools == (kind in ("published", "with defaults", "spoken"))
    assert adapted.thinking == (kind in ("published", "with defaults"))
    if kind != "spoken":  # whose end token stands after a turn, as part of it
        assert adapted.affixes["user"].prefix == "<|turn>user\n"
    assert ("system" in adapted.affixes) == (kind != "alternating")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("NATIVE_ANSWERS", "a tool's answer"),
        ("TEXTS", "a system text differs at character"),
    ],
)
def test_without_a_part_of_the_preamble_the_conversation_that_needs_it_is_named(
    part: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preamble, part, "")
    monkeypatch.setattr(adapting, "_PARTS", {})
    with pytest.raises(RefusedError, match=words):
        adapt(source(PUBLISHED))


def test_a_wrong_rewrite_is_noticed_with_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = preamble.JOINED.replace("|map(attribute='text')|join", "|map(attribute='text')|join ~ ' '")
    monkeypatch.setattr(preamble, "JOINED", wrong)
    with pytest.raises(RefusedError, match=r"differs at character \d+, after .*<turn\|>.* in the engine, .* in transf"):
        adapt(source(ADDING.replace(".strip()", "")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% for x in %}", r"is no template: Expected an expression.*\(line 1\)"),
        ("{{ messages", "is no template: unexpected end"),
        (PLAIN + "\n{{ 'a b' | wordcount }}", "uses the filter 'wordcount' in line 3, which the engine does not know"),
        (PLAIN + "{{ 'a' is callable }}", "uses the test 'callable' in line 2"),
        (PLAIN + "{% if tools %}{{ 'a'.count('b') }}{% endif %}", r"uses \.count\(\) in line 2"),
        (PLAIN + "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}", r"uses tojson\(\) with arguments"),
        (PLAIN + "{% for m in messages %}{% break %}{% endfor %}", "uses {% break %} in line 2"),
        (PLAIN + "{% include 'x' %}", "uses {% include %}"),
        (PLAIN + "{% if tools %}{{ lipsum() }}{% endif %}", r"uses lipsum\(\)"),
        ("Say x.split(y)!\n" + PLAIN, r"prints '.split\(' in line 1"),
        ("{{ messages[5].role.x }}" + PLAIN, r"refuses a question: .*no element 5 \(line 1\)"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deep"),
        ("{% break %}", "is no template: 'break' outside loop"),
        ("{% for m in messages %}{{ m.role }}{{ '!' if loop.last }}{% endfor %}", "changes earlier turns when a next"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_by_name_and_place(text: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        adapt(source(text))


def write(folder: Path, text: str | bytes) -> Path:
    (folder / "chat_template.jinja").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "1 seconds of a processor"),
        ("{{ ('a' * 9000000000) | length }}", "needs more than 2 GB of memory"),
        (b"\xff{{ x }}", "not UTF-8 .byte 0 is 0xff."),
        (" \n", "is empty"),
        ("x" * 300_000, "300,000 characters"),
    ],
)
def test_a_template_without_end_or_measure_is_refused_in_one_line(folder: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        prepare(write(folder, text), adapted=True, seconds=1)
    assert "\n" not in str(caught.value)


def test_ios_gets_the_template_as_it_is(folder: Path) -> None:
    made = prepare(write(folder, PUBLISHED), adapted=False)
    assert (made.text, made.changes) == (PUBLISHED, ())
    assert (made.tools, made.thinking) == (True, True)
    with pytest.raises(CheckpointError, match="is no template"):
        prepare(write(folder, "{{"), adapted=False)


def test_the_plan_says_what_becomes_of_the_template_and_refuses_before_any_work(folder: Path) -> None:
    from convert.checkpoint import open_checkpoint
    from convert.plan import Request, make

    def told() -> str:
        return make(Request("android", str(folder), folder / "out"), open_checkpoint(str(folder)), "name").template

    assert told() == "chat_template.jinja, as it is"
    write(folder, PUBLISHED)
    assert told().startswith(
        "adapted for the engine (5 changes): is none × 2; .split() × 2; .get() × 19; tools' answers"
    )
    write(folder, "{% break %}")
    with pytest.raises(CheckpointError, match="is no template"):
        told()


def test_a_template_is_found_where_transformers_finds_it(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "third"}), "utf-8")
    assert read(folder).name == "chat_template.jinja"
    (folder / "chat_template.jinja").unlink()
    assert (read(folder).text, read(folder).name) == ("third", "chat_template.json")
    path.write_text(json.dumps({**config, "chat_template": "second"}), "utf-8")
    assert read(folder).text == "second"
    several = [{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}]
    path.write_text(json.dumps({**config, "chat_template": several}), "utf-8")
    assert read(folder).text == "b"
    path.write_text(json.dumps({**config, "chat_template": several[:1]}), "utf-8")
    with pytest.raises(CheckpointError, match=r"no template called default \(it has rag\)"):
        read(folder)
    shutil.copy(demo.folder() / "tokenizer_config.json", path)
    (folder / "chat_template.json").unlink()
    with pytest.raises(CheckpointError, match=r"there is no chat_template\.jinja"):
        read(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"chat_template": "a", "chat_template": "b"}', "is not valid JSON (key 'chat_template' occurs twice)"),
        (b'{"chat_template": NaN}', "is not valid JSON (NaN is not JSON)"),
        (b'\xef\xbb\xbf{"chat_template": "a"}', "begins with a byte order mark"),
        (b'{"chat_template": "\xff"}', "is not UTF-8"),
        (b"[" * 50_000, "is not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b" " * ((4 << 20) + 1), "has 4,194,305 bytes; at most 4,194,304 are read"),
    ],
    ids=["twice", "nan", "mark", "bytes", "deep", "list", "large"],
)
@pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.json"])
def test_a_file_with_a_template_in_it_is_read_strictly_and_not_beyond_a_bound(
    folder: Path, name: str, content: bytes, said: str
) -> None:
    (folder / "chat_template.jinja").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read(folder)
    assert f"{name} {said}" in str(caught.value)
    assert "\n" not in str(caught.value)
