"""What the engine has to know besides the graphs: tokens, template, sampler, state buffers.

Messages: ``litert_lm_builder.runtime.proto``. Values come from the checkpoint's own files: generation_config.json,
tokenizer_config.json, chat_template.jinja.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from litert_lm_builder.runtime.proto import executor_metadata_pb2, llm_metadata_pb2, sampler_params_pb2

from convert.chat_template.prepare import Template
from convert.chat_template.prepare import prepare as prepare_template
from convert.checkpoint.config import TextConfig
from convert.errors import CheckpointError
from convert.targets.litert.options import LitertOptions


def llm_metadata(folder: Path, options: LitertOptions) -> bytes:
    """``LlmMetadata`` of a Gemma 4 checkpoint folder.

    Raises:
        CheckpointError: a file or field is missing without which the engine would not start, stop or speak.
    """
    generation, tokens = _json(folder, "generation_config.json"), _json(folder, "tokenizer_config.json")
    message = llm_metadata_pb2.LlmMetadata()
    message.start_token.token_ids.ids.append(_field(generation, "bos_token_id", "generation_config.json"))
    message.pad_token.token_ids.ids.append(generation.get("pad_token_id", 0))
    for token in stop_tokens(generation):
        message.stop_tokens.add().token_ids.ids.append(token)
    for token in generation.get("suppress_tokens") or ():
        message.suppress_tokens.ids.append(token)
    _sampler(message.sampler_params, generation)
    message.max_num_tokens = options.context
    template = prepare_template(folder, "android")
    message.jinja_prompt_template = template.text
    _affixes(message.prompt_templates, template)
    _gemma4(message, tokens, template)
    return bytes(message.SerializeToString(deterministic=True))


def stop_tokens(generation: dict[str, Any]) -> list[int]:
    """Ids that end an answer, ascending. Gemma 4 stops on more than its end-of-text token."""
    stops = _field(generation, "eos_token_id", "generation_config.json")
    return sorted(set(stops if isinstance(stops, list) else [stops]))


def executor_metadata(config: TextConfig, options: LitertOptions) -> bytes:
    """``ExecutorMetadata``: one state buffer per cache tensor, all as long as the context."""
    kinds = executor_metadata_pb2.StateBuffer
    message = executor_metadata_pb2.ExecutorMetadata()
    executor = message.llm_executor_metadata
    executor.max_history_size = options.context
    for i in range(len(config.owners)):
        for part, kind, axis in (("k", kinds.TYPE_GLOBAL_KEY_CACHE, 2), ("v", kinds.TYPE_GLOBAL_VALUE_CACHE, 3)):
            name = f"kv_cache_{part}_{i}"
            buffer = executor.state_buffers.add()
            buffer.prefill_input_name = buffer.prefill_output_name = name
            buffer.decode_input_name = buffer.decode_output_name = name
            buffer.policy, buffer.type = kinds.POLICY_DEFAULT, kind
            buffer.sequence_axis, buffer.maximum_sequence_length = axis, options.context
    return bytes(message.SerializeToString(deterministic=True))


def _sampler(message: Any, generation: dict[str, Any]) -> None:
    """generation_config.json's sampling; greedy when it does not sample."""
    if not generation.get("do_sample"):
        message.type, message.k = sampler_params_pb2.SamplerParameters.GREEDY, 1
        return
    message.type = sampler_params_pb2.SamplerParameters.TOP_P
    message.k, message.p = generation.get("top_k", 64), generation.get("top_p", 0.95)
    message.temperature = generation.get("temperature", 1.0)


def _affixes(message: Any, template: Template) -> None:
    """For apps that use the engine's sessions, which render no template: what stands around a text of each role."""
    for role, (prefix, suffix) in template.affixes.items():
        getattr(message, role).prefix, getattr(message, role).suffix = prefix, suffix


def _gemma4(message: Any, tokens: dict[str, Any], template: Template) -> None:
    gemma = message.llm_model_type.gemma4
    gemma.code_fence_start, gemma.code_fence_end = _token(tokens, "stc_token"), _token(tokens, "etc_token")
    gemma.open_quote = gemma.close_quote = _token(tokens, "escape_token")
    gemma.function_response_start = _token(tokens, "str_token")
    thought = message.channels.add()
    thought.channel_name, thought.is_reasoning_channel = "thought", True
    thought.start = f"{_token(tokens, 'soc_token') or '<|channel>'}thought\n"
    thought.end = _token(tokens, "eoc_token") or "<channel|>"
    message.supports_thinking = template.thinking
    # Without the tokens around a call the engine would not find one in an answer.
    message.supports_function_calling = template.tools and bool(gemma.code_fence_start)


def _token(tokens: dict[str, Any], name: str) -> str:
    """A special token by its role; real files keep it at top level, newer ones in a map."""
    value = tokens.get(name) or (tokens.get("model_specific_special_tokens") or {}).get(name) or ""
    return value["content"] if isinstance(value, dict) else str(value)


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise CheckpointError(
            f"read {folder.name}", f"there is no {name}", f"copy {name} from the model's repository into the folder"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"read {folder.name}/{name}", f"it is not JSON ({error})", "download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"read {folder.name}/{name}", "it is not a JSON object", "download it again")
    return content


def _field(content: dict[str, Any], field: str, name: str) -> Any:
    if content.get(field) is None:
        raise CheckpointError(f"read {name}", f"it has no {field}", f"take {name} from the instruction-tuned model")
    return content[field]
