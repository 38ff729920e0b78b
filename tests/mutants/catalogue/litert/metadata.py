"""Faults in what the engine is told: tokens, template, tokenizer, sampler, state buffers. Rung 3 compares them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

from litert_lm_builder.runtime.proto import executor_metadata_pb2, llm_metadata_pb2

from runtime_tests.litert.case import DECODER
from tests.mutants.mutant import Edit, Mutant
from tests.mutants.patient import Patient

KIND = "metadata"
LLM, EXECUTOR, TOKENIZER = "LlmMetadataProto", "ExecutorMetadataProto", "HF_Tokenizer_Zlib"


def _llm(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        message = llm_metadata_pb2.LlmMetadata.FromString(patient.content(LLM))
        change(message)
        patient.rebuild({LLM: message.SerializeToString(deterministic=True)})

    return apply


def _executor(change: Callable[[Any], None]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        message = executor_metadata_pb2.ExecutorMetadata.FromString(patient.content(EXECUTOR))
        change(message.llm_executor_metadata)
        patient.rebuild({EXECUTOR: message.SerializeToString(deterministic=True)})

    return apply


def _tokenizer(change: Callable[[dict[str, Any]], None]) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        content = json.loads(zlib.decompress(patient.content(TOKENIZER)[8:]))
        change(content)
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        patient.rebuild({TOKENIZER: len(text).to_bytes(8, "little") + zlib.compress(text, 9)})

    return apply


def _items(**changed: str | None) -> Callable[[Patient], None]:
    def apply(patient: Patient) -> None:
        pairs = {**patient.section(DECODER).items, **changed}
        patient.rebuild(items={DECODER: {key: value for key, value in pairs.items() if value is not None}})

    return apply


def _template(old: str, new: str) -> Callable[[Patient], None]:
    def change(message: Any) -> None:
        assert old in message.jinja_prompt_template, f"the template has no {old!r}"
        message.jinja_prompt_template = message.jinja_prompt_template.replace(old, new)

    return _llm(change)


def _only_eos(message: Any) -> None:
    del message.stop_tokens[1:]


def _wrong_stop(message: Any) -> None:
    message.stop_tokens[1].token_ids.ids[0] += 1


def _extra_stop(message: Any) -> None:
    message.stop_tokens.add().token_ids.ids.append(300)


def _stop_sequence(message: Any) -> None:
    """All stop tokens in one sequence: the engine would wait for them one after another."""
    ids = [stop.token_ids.ids[0] for stop in message.stop_tokens]
    del message.stop_tokens[:]
    message.stop_tokens.add().token_ids.ids.extend(ids)


def _wrong_start(message: Any) -> None:
    message.start_token.token_ids.ids[0] = 1


def _no_start(message: Any) -> None:
    message.ClearField("start_token")


def _gemma3(message: Any) -> None:
    message.llm_model_type.gemma3.SetInParent()


def _set(**fields: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return change


def _sampler(**fields: Any) -> Callable[[Any], None]:
    return lambda message: _set(**fields)(message.sampler_params)


def _channel(message: Any) -> None:
    message.channels[0].start = "<|think|>thought\n"


def _no_channel(message: Any) -> None:
    del message.channels[:]


def _no_suffix(message: Any) -> None:
    message.prompt_templates.user.suffix = ""


def _buffer(**fields: Any) -> Callable[[Any], None]:
    return lambda executor: _set(**fields)(executor.state_buffers[2])


def _all_local(executor: Any) -> None:
    for buffer in executor.state_buffers:
        buffer.type = 3 if "_k_" in buffer.decode_input_name else 4


def _buffer_gone(executor: Any) -> None:
    del executor.state_buffers[-1]


def _kinds_swapped(executor: Any) -> None:
    a, b = executor.state_buffers[0], executor.state_buffers[1]
    a.type, b.type = b.type, a.type


def _merge_removed(content: dict[str, Any]) -> None:
    del content["model"]["merges"][7]


def _pieces_swapped(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    a, b = list(vocabulary)[-2:]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]


def _special_lost(content: dict[str, Any]) -> None:
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] != 106]


def _mutant(name: str, what: str, change: Callable[[Patient], None]) -> Mutant:
    return Mutant(name, KIND, "mobile", what, ("3",), Edit(change))


MUTANTS = (
    _mutant("stops_on_eos_alone", "the end of a turn does not stop the engine", _llm(_only_eos)),
    _mutant("wrong_stop_token", "a stop token has its neighbour's id", _llm(_wrong_stop)),
    _mutant("one_stop_too_many", "an ordinary token stops the engine", _llm(_extra_stop)),
    _mutant("stops_in_one_sequence", "the stop tokens as one sequence", _llm(_stop_sequence)),
    _mutant("wrong_start_token", "the start token is eos", _llm(_wrong_start)),
    _mutant("no_start_token", "bos is not put before a prompt", _llm(_no_start)),
    _mutant("model_type_of_gemma_3", "the engine takes another path through template and tools", _llm(_gemma3)),
    _mutant("too_many_tokens", "more tokens promised than the cache holds", _llm(_set(max_num_tokens=100_000))),
    _mutant("too_few_tokens", "the engine ends at a quarter of the cache", _llm(_set(max_num_tokens=64))),
    _mutant("sampler_top_k", "another top_k", _llm(_sampler(k=1))),
    _mutant("sampler_temperature", "another temperature", _llm(_sampler(temperature=0.1))),
    _mutant("sampler_greedy", "the sampler's kind is greedy", _llm(_sampler(type=3))),
    _mutant("wrong_pad_token", "padding with bos", _llm(lambda m: m.pad_token.token_ids.ids.__setitem__(0, 2))),
    _mutant("reasoning_channel_start", "reasoning is looked for behind another marker", _llm(_channel)),
    _mutant("no_reasoning_channel", "reasoning is not kept apart from the answer", _llm(_no_channel)),
    _mutant("caches_all_local", "no cache says how long a conversation may be", _executor(_all_local)),
    _mutant(
        "ring_typed_global",
        "the engine takes a ring's length for the conversation's",
        _executor(_buffer(type=1)),
    ),
    _mutant("no_template", "no chat template", _llm(_set(jinja_prompt_template=""))),
    _mutant("template_newline", "no newline after the role", _template(" + role + '\\n'", " + role")),
    _mutant("template_role", "the user is called human", _template("else message['role']", "else 'human'")),
    _mutant(
        "template_role_of_answers",
        "earlier answers are the assistant's and not the model's",
        _template("'model' if", "'assistant' if"),
    ),
    _mutant(
        "template_generation_prompt",
        "the answer's turn is not opened",
        _template("if add_generation_prompt", "if false"),
    ),
    _mutant("template_turn_not_closed", "turns are not closed", _template("'<turn|>\\n'", "'\\n'")),
    _mutant(
        "template_thinks",
        "every answer begins with a thought",
        _template("'<|turn>model\\n'", "'<|turn>model\\n<|channel>thought\\n'"),
    ),
    _mutant(
        "template_blank_after_system",
        "a blank after a system text",
        _template("{{- '<turn|>\\n' -}}", "{{- (' ' if message['role'] == 'system' else '') + '<turn|>\\n' -}}"),
    ),
    _mutant(
        "template_later_role",
        "from the fourth message on the model is the assistant",
        _template("'model' if", "('model' if loop.index0 < 3 else 'assistant') if"),
    ),
    _mutant(
        "template_refuses_tools",
        "a conversation with tools fails in the engine",
        _template("{{- bos_token -}}", "{%- if tools -%}{{ raise_exception('no tools') }}{%- endif -%}"),
    ),
    _mutant("template_blanks_kept", "blanks around a text are kept", _template("item['text'] | trim", "item['text']")),
    _mutant(
        "template_closes_what_goes_on",
        "the engine refuses every second message",
        _template("'<|turn>model\\n' -}}", "'<|turn>model\\n' -}}{%- else -%}{{- '<eos>' -}}"),
    ),
    _mutant("no_prompt_templates", "a Session gives bare text", _llm(lambda m: m.ClearField("prompt_templates"))),
    _mutant("prompt_suffix", "a Session does not close the user's turn", _llm(_no_suffix)),
    _mutant("thinking_promised", "thinking is promised and cannot be", _llm(_set(supports_thinking=True))),
    _mutant("tools_promised", "tools are promised and never declared", _llm(_set(supports_function_calling=True))),
    _mutant("activations_in_float16", "the decoder may run in float16", _items(prefer_activation_type="fp16")),
    _mutant("activations_unsaid", "the engine chooses the decoder's precision", _items(prefer_activation_type=None)),
    _mutant("buffer_axis", "a cache grows along another axis", _executor(_buffer(sequence_axis=1))),
    _mutant("buffer_length", "a cache is shorter than its tensor", _executor(_buffer(maximum_sequence_length=128))),
    _mutant("buffer_name", "a cache of prefill goes nowhere", _executor(_buffer(prefill_output_name="kv_cache_k_9"))),
    _mutant("buffer_gone", "the last cache is not kept", _executor(_buffer_gone)),
    _mutant("buffer_kinds_swapped", "keys are called values", _executor(_kinds_swapped)),
    _mutant("history_size", "the executor keeps half the context", _executor(_set(max_history_size=128))),
    _mutant("merge_removed", "the tokenizer lacks one merge", _tokenizer(_merge_removed)),
    _mutant("pieces_swapped", "two pieces of the vocabulary exchanged", _tokenizer(_pieces_swapped)),
    _mutant("special_token_lost", "the end of a turn is ordinary text", _tokenizer(_special_lost)),
)
