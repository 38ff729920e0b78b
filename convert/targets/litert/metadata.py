"""What the engine has to know besides the graphs: tokens, template, sampler, state buffers.

Messages: ``litert_lm_builder.runtime.proto``. Values come from the checkpoint's own files, see
``convert/checkpoint/settings.py``, and chat_template.jinja.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litert_lm_builder.runtime.proto import executor_metadata_pb2, llm_metadata_pb2, sampler_params_pb2

from convert.checkpoint.config import TextConfig
from convert.checkpoint.settings import Sampler, Settings, read_settings
from convert.errors import CheckpointError
from convert.targets.litert.options import LitertOptions

# The engine's template renderer knows no `get` on maps and no training-only blocks.
_GET = re.compile(r"""\.get\(\s*(['"][^'"]+['"])\s*\)""")
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


def llm_metadata(folder: Path, options: LitertOptions, settings: Settings | None = None) -> bytes:
    """``LlmMetadata`` of a Gemma 4 checkpoint folder.

    Args:
        settings: the folder's, when they have been read.

    Raises:
        CheckpointError: a file or field is missing without which the engine would not start, stop or speak.
    """
    settings = settings or read_settings(folder)
    tokens = _json(folder, "tokenizer_config.json")
    message = llm_metadata_pb2.LlmMetadata()
    message.start_token.token_ids.ids.append(settings.start)
    message.pad_token.token_ids.ids.append(settings.pad)
    for stop in settings.stops:
        message.stop_tokens.add().token_ids.ids.append(stop.token)
    message.suppress_tokens.ids.extend(settings.suppressed)
    _sampler(message.sampler_params, settings.sampler)
    message.max_num_tokens = options.context
    message.jinja_prompt_template = _GET.sub(r"[\1]", _GENERATION.sub("", chat_template(folder, tokens)))
    _gemma4(message, settings.roles)
    return bytes(message.SerializeToString(deterministic=True))


def chat_template(folder: Path, tokenizer_config: dict[str, Any]) -> str:
    """The Jinja template, from its own file or from tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = tokenizer_config.get("chat_template")
    if not isinstance(template, str):
        raise CheckpointError(
            f"read the chat template of {folder.name}",
            "there is no chat_template.jinja, and tokenizer_config.json has no chat_template",
            "add the instruction-tuned model's chat_template.jinja",
        )
    return template


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


def _sampler(message: Any, sampler: Sampler) -> None:
    if not sampler.sample:
        message.type, message.k = sampler_params_pb2.SamplerParameters.GREEDY, 1
        return
    message.type = sampler_params_pb2.SamplerParameters.TOP_P
    message.k, message.p, message.temperature = sampler.top_k, sampler.top_p, sampler.temperature


def _gemma4(message: Any, roles: Mapping[str, str]) -> None:
    gemma = message.llm_model_type.gemma4
    gemma.code_fence_start, gemma.code_fence_end = roles.get("stc_token", ""), roles.get("etc_token", "")
    gemma.open_quote = gemma.close_quote = roles.get("escape_token", "")
    gemma.function_response_start = roles.get("str_token", "")
    thought = message.channels.add()
    thought.channel_name, thought.is_reasoning_channel = "thought", True
    thought.start = f"{roles.get('soc_token', '<|channel>')}thought\n"
    thought.end = roles.get("eoc_token", "<channel|>")
    message.supports_thinking = message.supports_function_calling = bool(gemma.code_fence_start)


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
