"""What the engine has to know besides the graphs: tokens, template, sampler, state buffers.

Messages: ``litert_lm_builder.runtime.proto``. Values come from the checkpoint's own files, see
``convert/checkpoint/settings.py``, and chat_template.jinja.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litert_lm_builder.runtime.proto import executor_metadata_pb2, llm_metadata_pb2, sampler_params_pb2

from convert.chat_template.prepare import Template
from convert.chat_template.prepare import prepare as prepare_template
from convert.checkpoint.config import SLIDING, TextConfig
from convert.checkpoint.modules.vision import VisionConfig
from convert.checkpoint.settings import Sampler, Settings, read_settings
from convert.targets.litert.cache_rows import ring_rows
from convert.targets.litert.options import LitertOptions


def llm_metadata(
    folder: Path, options: LitertOptions, settings: Settings | None = None, images: VisionConfig | None = None
) -> bytes:
    """``LlmMetadata`` of a Gemma 4 checkpoint folder.

    Args:
        settings: the folder's, when they have been read.
        images: of the vision tower, where images are taken.

    Raises:
        CheckpointError: a file or field is missing without which the engine would not start, stop or speak.
    """
    settings = settings or read_settings(folder)
    message = llm_metadata_pb2.LlmMetadata()
    message.start_token.token_ids.ids.append(settings.start)
    message.pad_token.token_ids.ids.append(settings.pad)
    for stop in settings.stops:
        message.stop_tokens.add().token_ids.ids.append(stop.token)
    message.suppress_tokens.ids.extend(settings.suppressed)
    _sampler(message.sampler_params, settings.sampler)
    message.max_num_tokens = options.context
    template = prepare_template(folder, adapted=True)
    message.jinja_prompt_template = template.text
    _affixes(message.prompt_templates, template)
    _gemma4(message, settings, template)
    if images is not None:
        _images(message.llm_model_type.gemma4, settings, images, options)
    return bytes(message.SerializeToString(deterministic=True))


def executor_metadata(config: TextConfig, options: LitertOptions, guessed: int = 0) -> bytes:
    """``ExecutorMetadata``: one state buffer per cache tensor.

    Those of rings are typed LOCAL: the engine takes the shortest of the others for the conversation's capacity.

    Args:
        guessed: tokens that a drafter guesses at a time.
    """
    kinds = executor_metadata_pb2.StateBuffer
    message = executor_metadata_pb2.ExecutorMetadata()
    executor = message.llm_executor_metadata
    executor.max_history_size = options.context
    whole = (kinds.TYPE_GLOBAL_KEY_CACHE, kinds.TYPE_GLOBAL_VALUE_CACHE)
    local = (kinds.TYPE_LOCAL_KEY_CACHE, kinds.TYPE_LOCAL_VALUE_CACHE)
    ring = ring_rows(config, options.context, guessed)
    for i, layer in enumerate(config.owners):
        short = ring is not None and layer.kind == SLIDING
        for part, kind, axis in zip("kv", local if short else whole, (2, 3), strict=True):
            name = f"kv_cache_{part}_{i}"
            buffer = executor.state_buffers.add()
            buffer.prefill_input_name = buffer.prefill_output_name = name
            buffer.decode_input_name = buffer.decode_output_name = name
            buffer.policy, buffer.type = kinds.POLICY_DEFAULT, kind
            buffer.sequence_axis, buffer.maximum_sequence_length = axis, (ring if short else options.context)
    return bytes(message.SerializeToString(deterministic=True))


def _sampler(message: Any, sampler: Sampler) -> None:
    if not sampler.sample:
        message.type, message.k = sampler_params_pb2.SamplerParameters.GREEDY, 1
        return
    message.type = sampler_params_pb2.SamplerParameters.TOP_P
    message.k, message.p, message.temperature = sampler.top_k, sampler.top_p, sampler.temperature


def _affixes(message: Any, template: Template) -> None:
    """For apps that use the engine's sessions, which render no template: what stands around a text of each role."""
    for role, (prefix, suffix) in template.affixes.items():
        getattr(message, role).prefix, getattr(message, role).suffix = prefix, suffix


def _gemma4(message: Any, settings: Settings, template: Template) -> None:
    gemma, roles = message.llm_model_type.gemma4, settings.roles
    gemma.code_fence_start, gemma.code_fence_end = roles.get("stc_token", ""), roles.get("etc_token", "")
    gemma.open_quote = gemma.close_quote = roles.get("escape_token", "")
    gemma.function_response_start = roles.get("str_token", "")
    if settings.channel is not None:
        thought = message.channels.add()
        thought.channel_name, thought.is_reasoning_channel = "thought", True
        thought.start, thought.end = f"{settings.channel[0]}thought\n", settings.channel[1]
    message.supports_thinking = template.thinking
    # Without the tokens around a call the engine would not find one in an answer.
    message.supports_function_calling = template.tools and bool(gemma.code_fence_start)


def _images(gemma: Any, settings: Settings, images: VisionConfig, options: LitertOptions) -> None:
    """How the engine cuts an image into patches, and what it puts around it."""
    for field, role in (("start_of_image_token", "image_begin"), ("end_of_image_token", "image_end")):
        getattr(gemma, field).token_str = settings.texts[settings.placeholders[role]]
    gemma.patch_width = gemma.patch_height = images.patch
    gemma.pooling_kernel_size = images.pool
    gemma.max_num_patches = options.image_rows[-1] * images.pool**2
