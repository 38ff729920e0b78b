"""Rung 3's conversations: a template that fails in one place is caught there, by name, and the others still compare."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from litert_lm_builder.runtime.proto import llm_metadata_pb2

from convert import demo
from runtime_tests.ladder import climb
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.engine.template import adaptation, asked, compare_templates, difference
from runtime_tests.litert.engine.turns import compare_turns
from runtime_tests.litert.runners.engine import Request, ask
from runtime_tests.measures.evidence import Adaptation
from runtime_tests.questions.conversations import CONVERSATIONS
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report import parity as report
from runtime_tests.report.html import page
from runtime_tests.results import Check
from tests.mutants.patient import Patient
from tests.support.chat.chat_templates import ADDING
from tests.support.checkpoints.published.companions import chat_template

# Everything that the conversations ask for, in words that both template languages know: tools' answers are read where
# transformers has them, in `tool_responses`, and where the engine has them, in parts.
TEMPLATE = """\
{{- bos_token -}}
{%- macro literal(value) -%}
    {%- if value is string -%}<|"|>{{ value }}<|"|>
    {%- elif value is boolean -%}{{ 'true' if value else 'false' }}
    {%- elif value is mapping -%}
        {{- '{' -}}
        {%- for key, inner in value | dictsort -%}
            {{ ',' if not loop.first }}{{ key }}:{{ literal(inner) }}
        {%- endfor -%}
        {{- '}' -}}
    {%- elif value is number -%}{{ value }}
    {%- elif value -%}
        [{%- for inner in value -%}{{ ',' if not loop.first }}{{ literal(inner) }}{%- endfor -%}]
    {%- else -%}null
    {%- endif -%}
{%- endmacro -%}
{%- macro answer(given) -%}
    <|tool_response>response:{{ given.name }}{{ '{value:' }}{{ literal(given.response) }}}<tool_response|>
{%- endmacro -%}
{%- macro said(content) -%}
    {%- if content is string -%}{{ content | trim }}
    {%- elif content -%}
        {%- for part in content -%}
            {%- if part.type == 'text' -%}{{ part.text | trim }}
            {%- elif part.type == 'tool_response' -%}{{ answer(part) }}
            {%- else -%}<|{{ part.type }}|>
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if enable_thinking -%}{{ '<|turn>system\\n<|think|>\\n<turn|>\\n' }}{%- endif -%}
{%- for tool in tools or [] -%}<|tool>{{ literal(tool.function) }}<tool|>{%- endfor -%}
{%- set last = namespace(user=-1) -%}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}{%- set last.user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {{- said(message.content) -}}
    {%- else -%}
        {{- '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' -}}
        {%- if message.reasoning and loop.index0 > last.user -%}
            {{- '<|channel>thought\\n' + message.reasoning + '<channel|>' -}}
        {%- endif -%}
        {%- for call in message.tool_calls or [] -%}
            <|tool_call>call:{{ call.function.name }}{{ literal(call.function.arguments) }}<tool_call|>
        {%- endfor -%}
        {{- said(message.content) + '<turn|>\\n' -}}
        {%- for given in message.tool_responses or [] -%}{{ answer(given) }}{%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|turn>model\\n' }}{%- endif -%}"""

RENDERS, EQUAL, ANSWERED, CONTINUED = (
    "the engine renders every conversation",
    "template renders otherwise",
    "a tool's answer is not in the text",
    "a next message that the engine refuses",
)
ENDED = "{%- if add_generation_prompt -%}{{ '<|turn>model\\n' }}{%- else -%}{{ '<eos>' }}{%- endif -%}"


def packed(artifact: Path, template: str, out: Path) -> Path:
    """A copy of an artifact with another chat template."""
    patient = Patient(artifact)
    message = llm_metadata_pb2.LlmMetadata.FromString(patient.content("LlmMetadataProto"))
    message.jinja_prompt_template = template
    patient.rebuild({"LlmMetadataProto": message.SerializeToString(deterministic=True)})
    out.write_bytes(patient.bytes)
    return out


def case_of(artifact: Path, template: str, own: str, work: Path) -> LitertCase:
    """The artifact with one template, the checkpoint with another."""
    work.mkdir(exist_ok=True)
    folder = Path(shutil.copytree(demo.folder(), work / "checkpoint"))
    (folder / "chat_template.jinja").write_text(own, "utf-8")
    return LitertCase(open_litertlm(packed(artifact, template, work / "model.litertlm")), open_checkpoint(folder))


Judged = Callable[..., dict[str, Check]]


@pytest.fixture
def judged(demo_file: Path, tmp_path: Path) -> Judged:
    """Renders all conversations with one template in the engine and another in transformers; the checks by name."""

    def run(template: str, own: str = TEMPLATE) -> dict[str, Check]:
        case = case_of(demo_file, template, own, tmp_path)
        answer = ask(Request(str(case.artifact.path), (), 1, (), (), 1, 1, asked()))
        return {check.name: check for check in compare_templates(case, answer)}

    return run


def changed(old: str, new: str) -> str:
    assert TEMPLATE.count(old) == 1, old
    return TEMPLATE.replace(old, new)


def failing(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if not check.passed]


def test_there_are_at_least_forty_conversations_and_each_has_a_name() -> None:
    assert len({item.name for item in CONVERSATIONS}) == len(CONVERSATIONS) >= 40


def test_a_template_that_knows_everything_passes_every_conversation(judged: Judged) -> None:
    checks = judged(TEMPLATE)
    assert not failing(checks), [check.note for check in checks.values()]
    assert checks["conversations compared"].found == len(CONVERSATIONS)
    assert checks[ANSWERED].note == f"{checks[ANSWERED].note.split()[0]} compared"
    assert "conversations left out" not in checks


@pytest.mark.parametrize(
    ("old", "new", "caught", "words"),
    [
        pytest.param(
            "{{ answer(part) }}",
            "",
            (EQUAL, ANSWERED),
            "a tool answers a mapping: 'clock'; a tool answers a text: 'quarter past nine'",
            id="a tool's answer is dropped",
        ),
        pytest.param(
            "said(message.content) + '<turn|>",
            "said(message.content) + (' ' if message.role == 'system' else '') + '<turn|>",
            (EQUAL,),
            "a system text: at character 33, after …'urn>system\\nAnswer in one word.': '\\x20<turn|>",
            id="a blank after a system text",
        ),
        pytest.param("if enable_thinking", "if false", (EQUAL,), "thinking on: at character", id="thinking is ignored"),
        pytest.param(
            " and loop.index0 > last.user", "", (EQUAL,), "an old thought: at character", id="old thoughts are kept"
        ),
        pytest.param(
            "<|{{ part.type }}|>",
            "{{ '<|audio|>' if part.type == 'audio' }}",
            (EQUAL,),
            "an image: at character",
            id="an image's place is lost",
        ),
        pytest.param(
            "'model' if message.role == 'assistant'",
            "('model' if loop.index0 < 3 else 'assistant') if message.role == 'assistant'",
            (EQUAL,),
            "several turns: at character",
            id="a later role is renamed",
        ),
        pytest.param(
            "{{- bos_token -}}",
            "{%- if tools -%}{{ raise_exception('no tools here') }}{%- endif -%}",
            (RENDERS,),
            "a thought before a call: INTERNAL: Failed to apply template: invalid operation: no tools here",
            id="tools are refused",
        ),
        pytest.param(
            "{%- elif content -%}",
            "{%- elif content == none -%}null{%- elif content -%}",
            (EQUAL,),
            "a question that is null: at character",
            id="null is spelled",
        ),
        pytest.param(
            "{{ part.text | trim }}",
            "{{ part.text }}",
            (EQUAL,),
            "blanks around texts: at character",
            id="blanks around texts are kept",
        ),
    ],
)
def test_a_fault_in_the_template_is_caught_by_its_conversations(
    judged: Judged, old: str, new: str, caught: tuple[str, ...], words: str
) -> None:
    checks = judged(changed(old, new))
    assert failing(checks) == list(caught)
    assert words in checks[caught[-1]].note
    assert checks[caught[-1]].found < len(CONVERSATIONS) / 2, "the others still compare"


def test_a_template_that_closes_what_goes_on_is_caught_for_the_engine_refuses_the_next_message(
    judged: Judged, demo_file: Path, tmp_path: Path
) -> None:
    ended = changed("{%- if add_generation_prompt -%}{{ '<|turn>model\\n' }}{%- endif -%}", ENDED)
    checks = judged(ended)
    assert failing(checks) == [CONTINUED]
    assert checks[CONTINUED].note.startswith("several turns: at character ")
    assert "expected 'eos>'" in checks[CONTINUED].note
    twice = ({"role": "user", "content": "Hello"}, {"role": "user", "content": "And now?"})
    assert said_in_turn(packed(demo_file, TEMPLATE, tmp_path / "a.litertlm"), twice) == ["", ""]
    assert said_in_turn(packed(demo_file, ended, tmp_path / "b.litertlm"), twice) == ["", "failed"]


def said_in_turn(artifact: Path, messages: tuple[dict[str, str], ...]) -> list[str]:
    """What becomes of messages that are sent one after another: nothing, or a failure."""
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    cpu, out = litert_lm.Backend.CPU(thread_count=1), []
    with (
        litert_lm.Engine(str(artifact), backend=cpu, cache_dir=str(artifact.parent)) as engine,
        engine.create_conversation(max_output_tokens=1) as conversation,
    ):
        for message in messages:
            try:
                conversation.send_message(message)
                out.append("")
            except RuntimeError:
                out.append("failed")
    return out


def test_a_checkpoint_whose_own_template_closes_what_goes_on_is_told_so_and_passes(judged: Judged) -> None:
    ended = changed("{%- if add_generation_prompt -%}{{ '<|turn>model\\n' }}{%- endif -%}", ENDED)
    checks = judged(ended, ended)
    assert not failing(checks)
    assert checks[f"{CONTINUED}, by the checkpoint's template"].found > 10


def test_an_answer_in_neither_text_is_caught_though_both_are_equal(judged: Judged) -> None:
    """Published templates print an empty value for the engine's parts, in transformers as well."""
    mute = changed("{{ answer(part) }}", "<|tool_response>response:{{ part.name }}{}<tool_response|>")
    assert failing(judged(mute)) == [EQUAL, ANSWERED]


def test_every_conversation_fails_for_itself_where_the_template_is_none(judged: Judged) -> None:
    checks = judged("{{ messages[0]['content'")
    assert checks[RENDERS].found == len(CONVERSATIONS)
    assert checks[RENDERS].note.startswith(
        "one question: INTERNAL: Failed to apply template: Template creation failed: syntax error"
    )
    assert f"and {len(CONVERSATIONS) - 3} more" in checks[RENDERS].note
    assert "Traceback" not in checks[RENDERS].note


def test_a_checkpoint_without_tools_is_compared_without_them_and_the_report_says_so(judged: Judged) -> None:
    own = (demo.folder() / "chat_template.jinja").read_text("utf-8")
    checks = judged(own, own)
    assert not failing(checks)
    assert ANSWERED not in checks
    assert checks["conversations compared"].found >= 40
    assert checks["conversations left out"].found + checks["conversations compared"].found >= len(CONVERSATIONS) - 1
    assert "more: the checkpoint's template declares no tools in transformers" in checks["conversations left out"].note


def test_a_checkpoint_that_refuses_system_texts_is_compared_without_them(judged: Judged) -> None:
    refusing = changed(
        "    {%- if message.role == 'tool' -%}",
        "    {%- if message.role == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}\n"
        "    {%- if message.role == 'tool' -%}",
    )
    checks = judged(refusing, refusing)
    assert not failing(checks)
    assert "refuses in transformers: System role not supported (TemplateError)" in checks["conversations left out"].note


@pytest.mark.parametrize(
    ("given", "fails"),
    [
        ("(message['content'] | map(attribute='text') | join('') | trim)", []),
        ("message['content'][0]['text']", ["template renders otherwise"]),
    ],
)
def test_a_checkpoint_that_takes_text_alone_is_compared_with_texts_alone(
    judged: Judged, given: str, fails: list[str]
) -> None:
    """The engine makes a part of every text, so only what such a template prints of texts can be asked."""
    checks = judged(ADDING.replace("message['content'].strip()", given), ADDING)
    assert failing(checks) == fails, [check.note for check in checks.values()]
    assert "takes text alone in transformers, no parts" in checks["conversations left out"].note
    assert checks["conversations compared"].found >= 30


def test_a_checkpoint_that_prints_answers_as_messages_is_compared_where_answers_are_texts(judged: Judged) -> None:
    """No agreed form exists for other answers as a message's content; their characters must still be there."""
    own = changed("{%- for given in message.tool_responses or [] -%}{{ answer(given) }}{%- endfor -%}", "")
    own = own.replace("{{- said(message.content) -}}\n    {%- else", "{{- answers(message) -}}\n    {%- else")
    own = own.replace(
        "{%- if enable_thinking -%}",
        "{%- macro answers(message) -%}{%- if message.content is string -%}"
        "{{ answer({'name': message.name, 'response': message.content}) }}"
        "{%- else -%}{{ said(message.content) }}{%- endif -%}{%- endmacro -%}\n{%- if enable_thinking -%}",
    )
    checks = judged(own, own)
    assert not failing(checks), [check.note for check in checks.values()]
    assert checks["conversations compared"].found == len(CONVERSATIONS)


def test_a_difference_is_shown_where_it_begins() -> None:
    long = "x" * 100
    assert difference(long + "a\u200f" + long, long + "\n") == (
        f"at character 100, after …'{'x' * 30}': 'a\\u200f{'x' * 38}'…, expected '\\n'"
    )
    assert difference("ab", "abc") == "at character 2, after 'ab': '', expected 'c'"
    assert difference(" a", "a") == "at character 0: '\\x20a', expected 'a'"


@pytest.mark.slow
def test_a_template_that_raises_fails_rung_three_with_the_engines_words(demo_file: Path, tmp_path: Path) -> None:
    own = (demo.folder() / "chat_template.jinja").read_text("utf-8")
    case = case_of(
        demo_file, own.replace("message['content'] is string", "message.get('content') is string"), own, tmp_path
    )
    (rung,) = climb(case, ("3",))
    notes = {check.name: check.note for check in rung.checks if not check.passed}
    assert "unknown method: map has no method named get" in notes["the engine answers every prompt"]
    assert notes["the engine answers every prompt"].startswith("chat 0: INTERNAL: Failed to apply template")
    assert "one question: INTERNAL" in notes[RENDERS]
    assert not any("Traceback" in note or "File " in note for note in notes.values())
    made = report.report(case, [rung], None, ("3",))
    assert made.template is not None
    assert (made.template.adapted, made.template.added, made.template.removed) == (True, 1, 1)
    assert "+    {%- if message.get(&#39;content&#39;) is string -%}" in page.render(made.model_dump(mode="json"))


def test_a_template_as_published_has_no_diff(demo_file: Path, tmp_path: Path) -> None:
    assert adaptation(case_of(demo_file, TEMPLATE, TEMPLATE, tmp_path)) == Adaptation(0, 0, ())


def test_an_engine_that_does_not_open_says_why_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.litertlm").write_bytes(b"no model")
    with pytest.raises(RuntimeError, match=r"\A[^\n]+\Z") as caught:
        ask(Request(str(tmp_path / "model.litertlm"), ("Hello",), 1, (), (), 1, 1))
    assert "Traceback" not in str(caught.value)
    assert "File " not in str(caught.value)


def test_a_template_as_google_writes_them_passes_every_conversation_once_it_is_adapted(
    demo_file: Path, tmp_path: Path
) -> None:
    from convert.targets.litert import LitertOptions
    from convert.targets.litert.metadata import llm_metadata

    own = chat_template()
    folder = Path(shutil.copytree(demo.folder(), tmp_path / "as_published"))
    (folder / "chat_template.jinja").write_text(own, "utf-8")
    made = llm_metadata(folder, LitertOptions(context=224, prefill=(64,), cache="float32"))
    found = llm_metadata_pb2.LlmMetadata.FromString(made)
    case = case_of(demo_file, found.jinja_prompt_template, own, tmp_path)
    answer = ask(Request(str(case.artifact.path), (), 1, (), (), 1, 1, asked()))
    checks = {check.name: check for check in (*compare_templates(case, answer), *compare_turns(case, found))}
    assert not failing(checks), [check.note for check in checks.values()]
    assert checks["conversations compared"].found == len(CONVERSATIONS)
    assert checks[ANSWERED].note == "22 compared"
    assert adaptation(case).diff, "it was adapted"
    unchanged = case_of(demo_file, own, own, tmp_path / "unchanged")
    answer = ask(Request(str(unchanged.artifact.path), (), 1, (), (), 1, 1, asked()))
    assert [check.name for check in compare_templates(unchanged, answer) if not check.passed], "and had to be"


def told_of(case: LitertCase, **affixes: str) -> dict[str, Check]:
    """What is said of the metadata with these texts around turns: ``user_prefix`` and so on."""
    found = case.artifact.llm_metadata()
    found.ClearField("prompt_templates")
    for name, text in affixes.items():
        role, part = name.split("_")
        setattr(getattr(found.prompt_templates, role), part, text)
    found.supports_thinking = found.supports_function_calling = True
    return {check.name: check for check in compare_turns(case, found)}


RIGHT = {
    "user_prefix": "<|turn>user\n",
    "user_suffix": "<turn|>\n",
    "model_prefix": "<|turn>model\n",
    "model_suffix": "<turn|>\n",
    "system_prefix": "<|turn>system\n",
    "system_suffix": "<turn|>\n",
}
AFFIXES, ABILITIES = "texts around turns (prompt_templates)", "thinking and tools as the template has them"


def test_texts_around_turns_are_what_the_template_puts_there(demo_file: Path, tmp_path: Path) -> None:
    case = case_of(demo_file, TEMPLATE, TEMPLATE, tmp_path)
    assert not failing(told_of(case, **RIGHT))
    for name, wrong in (
        ("user_prefix", "<|turn>user"),
        ("user_suffix", "<turn|>"),
        ("model_prefix", "<|turn>assistant\n"),
        ("model_suffix", ""),
        ("system_suffix", " <turn|>\n"),
    ):
        checks = told_of(case, **{**RIGHT, name: wrong})
        assert failing(checks) == [AFFIXES], name
        assert ": at character" in checks[AFFIXES].note
    assert failing(told_of(case)) == [AFFIXES], "ours must have them"


def test_a_file_of_another_maker_need_not_say_what_stands_around_turns(
    demo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(demo_file, TEMPLATE, TEMPLATE, tmp_path)
    monkeypatch.setattr(LitertCase, "foreign", True)
    checks = told_of(case)
    assert not failing(checks)
    assert checks[AFFIXES].sense == "stated"
    assert failing(told_of(case, **{**RIGHT, "user_suffix": ""})) == [AFFIXES], "what it says must be right"


def test_thinking_and_tools_are_promised_only_where_the_template_has_them(demo_file: Path, tmp_path: Path) -> None:
    own = (demo.folder() / "chat_template.jinja").read_text("utf-8")
    checks = told_of(case_of(demo_file, own, own, tmp_path), **RIGHT)
    assert failing(checks) == [ABILITIES]
    assert checks[ABILITIES].note == (
        "supports_thinking is true, the checkpoint's template does not; "
        "supports_function_calling is true, the checkpoint's template does not"
    )


def test_the_engines_session_puts_exactly_these_texts_around_a_question(demo_file: Path, tmp_path: Path) -> None:
    """What compare_turns takes for granted: two ways to the same tokens, and so to the same answer."""
    import litert_lm

    patient = Patient(demo_file)
    message = llm_metadata_pb2.LlmMetadata.FromString(patient.content("LlmMetadataProto"))
    for name, text in RIGHT.items():
        role, part = name.split("_")
        setattr(getattr(message.prompt_templates, role), part, text)
    patient.rebuild({"LlmMetadataProto": message.SerializeToString(deterministic=True)})
    path = tmp_path / "model.litertlm"
    path.write_bytes(patient.bytes)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    cpu = litert_lm.Backend.CPU(thread_count=1)
    said = {}
    with litert_lm.Engine(str(path), backend=cpu, cache_dir=str(tmp_path)) as engine:
        for applied, question in (
            (True, "Name one colour."),
            (False, "Name one colour."),
            (False, "<|turn>user\nName one colour.<turn|>\n<|turn>model\n"),
        ):
            with engine.create_session(
                apply_prompt_template=applied, sampler_config=greedy, max_output_tokens=8
            ) as session:
                session.run_prefill([question])
                said[applied, question] = session.run_decode().texts[0]
    around, bare, whole = said.values()
    assert around == whole != bare
