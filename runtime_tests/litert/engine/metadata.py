"""Rung 3, first part: what the engine is told about the model, against the checkpoint's own files.

Most of this no answer of the engine would show: a prompt too long for a promise, a sampler's kind, a phone's float16.
"""

from __future__ import annotations

from typing import Any

from runtime_tests.litert.case import DECODER, LitertCase
from runtime_tests.litert.engine import spelling
from runtime_tests.litert.engine.turns import compare_turns
from runtime_tests.results import Check, none, stated


def compare_metadata(case: LitertCase) -> list[Check]:
    """Stop tokens, start token, model type, sampler defaults, chat template, tokenizer, precision, state buffers."""
    found = case.artifact.llm_metadata()
    return [
        none("stop tokens", _stops(case, found), "differences", len(case.stops)),
        none("start token, model type, sampler, template", _rest(case, found), "differences", 8),
        *compare_turns(case, found),
        none("reasoning channels", _channels(case, found), "differences", 1),
        _chosen(case, found),
        none("precision of activations", _precision(case), "differences", 1),
        none("tokenizer", spelling.stored(case), "differences", 1),
        none("state buffers", _buffers(case), "differences", len(_caches(case))),
    ]


def _ids(union: Any) -> list[int]:
    return list(union.token_ids.ids)


def _stops(case: LitertCase, found: Any) -> list[str]:
    listed = [tuple(_ids(union)) for union in found.stop_tokens]
    wanted = {(token,) for token in case.stops}
    return [
        *(f"{token[0]} is missing, which {_who(case, token[0])}" for token in sorted(wanted - set(listed))),
        *(f"{token} is named by no file" for token in sorted(set(listed) - wanted)),
        *(["one is listed twice"] if len(listed) != len(set(listed)) else []),
    ]


def _who(case: LitertCase, token: int) -> str:
    sources = case.named_stops.named[token]
    return f"{' and '.join(sources)} name{'s' if len(sources) == 1 else ''}"


def _rest(case: LitertCase, found: Any) -> list[str]:
    wrong = []
    settings = case.named_stops.generation
    if _ids(found.start_token) != [case.start]:
        wrong.append(f"start token {_ids(found.start_token)}, expected [{case.start}]")
    if found.llm_model_type.WhichOneof("model_type") != "gemma4":
        wrong.append(f"model type {found.llm_model_type.WhichOneof('model_type')}, expected gemma4")
    sampler, samples = found.sampler_params, bool(settings.do_sample)
    if (sampler.type == sampler.GREEDY) == samples:
        wrong.append(f"sampler {sampler.Type.Name(sampler.type)}, do_sample is {settings.do_sample}")
    k = case.dims.vocab if settings.top_k == 0 else settings.top_k  # 0 bounds nothing
    if not samples and sampler.k > 1:
        wrong.append(f"sampler k {sampler.k}, do_sample is {settings.do_sample}")
    if sampler.HasField("seed"):
        wrong.append(f"sampler seed {sampler.seed}, which no file gives")
    for name, value in (("k", k), ("p", settings.top_p), ("temperature", settings.temperature)):
        # What is not given is the writer's choice, and stated; a greedy sampler needs none of them.
        if samples and value is not None and abs(getattr(sampler, name) - value) > 1e-6:
            wrong.append(f"sampler {name} {getattr(sampler, name):g}, expected {value:g}")
    pad = _pad(case)
    if pad is not None and _ids(found.pad_token) != [pad]:
        wrong.append(f"pad token {_ids(found.pad_token)}, expected [{pad}]")
    suppressed = sorted(settings.suppress_tokens or [])
    if sorted(found.suppress_tokens.ids) != suppressed:
        wrong.append(f"suppressed tokens {sorted(found.suppress_tokens.ids)[:5]}, expected {suppressed[:5]}")
    if not found.jinja_prompt_template:
        wrong.append("no chat template")
    if found.max_num_tokens and found.max_num_tokens != case.context:  # 0 leaves it to the engine
        wrong.append(f"max_num_tokens {found.max_num_tokens}, the cache holds {case.context}")
    return wrong


def _pad(case: LitertCase) -> int | None:
    """The padding token of the checkpoint's files: of its settings, its configuration, its tokenizer; not a default."""
    config = case.folder.config
    text = config.get("text_config") or config
    named = (case.named_stops.generation.pad_token_id, text.get("pad_token_id"))
    token = next((one for one in named if one is not None), None)
    word = _role(case, "pad_token")
    return token if token is not None or word is None else case.specials.get(word)


def _role(case: LitertCase, name: str) -> str | None:
    """The text of the token that tokenizer_config.json gives a role; at its top, or in a map of the model's own."""
    top = case.folder.optional_json("tokenizer_config.json")
    maps = [top.get("model_specific_special_tokens"), top.get("extra_special_tokens")]
    values = (place.get(name) for place in (top, *(one for one in maps if isinstance(one, dict))))
    value = next((one for one in values if one is not None), None)
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _chosen(case: LitertCase, found: Any) -> Check:
    """What the artifact says and no file of the checkpoint does: not wrong, and to be known."""
    settings, sampler, said = case.named_stops.generation, found.sampler_params, list[str]()
    if found.HasField("pad_token") and _pad(case) is None:
        said.append(f"pad token {_ids(found.pad_token)}")
    if settings.do_sample:
        values = (("k", settings.top_k), ("p", settings.top_p), ("temperature", settings.temperature))
        said += [f"sampler {name} {getattr(sampler, name):g}" for name, value in values if value is None]
    if not _role(case, "soc_token") or not _role(case, "eoc_token"):
        said += [
            f"thoughts from {item.start!r} to {item.end!r}" for item in found.channels if item.is_reasoning_channel
        ]
    return stated("settings that no file of the checkpoint gives", len(said), "settings", "; ".join(said))


def _channels(case: LitertCase, found: Any) -> list[str]:
    """Reasoning stands between the tokens that tokenizer_config.json calls soc and eoc; told wrongly, users see it.

    Where it names none, what is listed must at least begin and end with tokens.
    """
    begin, end = _role(case, "soc_token"), _role(case, "eoc_token")
    listed = [channel for channel in found.channels if channel.is_reasoning_channel]
    if not begin or not end:
        tokens = case.specials
        return [
            f"{channel.start!r} to {channel.end!r}, which are no tokens"
            for channel in listed
            if channel.end not in tokens or not any(channel.start.startswith(token) for token in tokens)
        ]
    wrong = [] if listed else [f"none, though the tokenizer has {begin}"]
    for channel in listed:
        if not channel.start.startswith(begin) or channel.end != end:
            wrong.append(f"{channel.start!r} to {channel.end!r}, expected {begin!r} to {end!r}")
    return wrong


def _precision(case: LitertCase) -> list[str]:
    """The engine's own default for a decoder is float16, which is coarser than static int8 scales bear."""
    told = case.artifact.model(DECODER).items.get("prefer_activation_type")
    return [] if told == "fp32" else [f"prefer_activation_type is {told}, expected fp32"]


def _caches(case: LitertCase) -> dict[str, tuple[int, ...]]:
    graph, entry = case.model(DECODER).subgraph("decode"), case.model(DECODER).signatures["decode"]
    return {n: graph.tensors[i].shape for n, i in entry.inputs.items() if n.startswith("kv_cache_")}


def _buffers(case: LitertCase) -> list[str]:
    """ExecutorMetadata lists every cache under its own names, with the axis of the positions and their number.

    The engine ends a conversation where the shortest cache ends that is not typed LOCAL.
    """
    listed, kinds, wrong, executor = {}, {}, [], case.artifact.executor_metadata().llm_executor_metadata
    if executor.max_history_size not in (0, case.context):
        wrong.append(f"max_history_size {executor.max_history_size}, the cache holds {case.context}")
    for buffer in executor.state_buffers:
        kind = kinds[buffer.decode_input_name] = buffer.Type.Name(buffer.type)
        if ("_k_" in buffer.decode_input_name) != kind.endswith("KEY_CACHE"):
            wrong.append(f"{buffer.decode_input_name}: {kind}")
        names = {buffer.prefill_input_name, buffer.prefill_output_name}
        names |= {buffer.decode_input_name, buffer.decode_output_name}
        listed[buffer.decode_input_name] = (names, buffer.sequence_axis, buffer.maximum_sequence_length)
    wrong += [f"{name}: not listed" for name in _caches(case) if name not in listed]
    if kinds and all(kind.startswith("TYPE_LOCAL_") for kind in kinds.values()):
        wrong.append("all caches are typed LOCAL: none says how long a conversation may be")
    for name, (names, axis, length) in sorted(listed.items()):
        shape = _caches(case).get(name)
        local, short = kinds[name].startswith("TYPE_LOCAL_"), case.cache_rows.get(name) != case.context
        if shape is not None and short and not local:
            wrong.append(f"{name}: {kinds[name]}, the cache holds {case.cache_rows[name]} of {case.context} positions")
        if shape is None or names != {name}:
            wrong.append(f"{name}: names {sorted(names)}")
        elif axis != (2 if "_k_" in name else 3) or (length and length != shape[axis]):
            wrong.append(f"{name}: axis {axis}, length {length}, the shape is {list(shape)}")
    return wrong
