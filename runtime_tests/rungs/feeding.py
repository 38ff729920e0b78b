"""Rung 0, what a bundle says of feeding its model: tokens and sampler, against the checkpoint's own files."""

from __future__ import annotations

from typing import Any

from runtime_tests.case import Case
from runtime_tests.readers.feeding import Feeding
from runtime_tests.results import Check, none, stated

_NAMED = {
    "image": ("image_token_id",),
    "image_begin": ("boi_token_id",),
    "image_end": ("eoi_token_id",),
    "audio": ("audio_token_id",),
    "audio_begin": ("boa_token_id",),
    "audio_end": ("eoa_token_id", "eoa_token_index"),
    "video": ("video_token_id",),
}
_SAMPLER = ("top_k", "top_p", "temperature")
_ROLES = ("bos", "eos", "pad", "unk", "sot", "eot", "std", "etd", "stc", "etc", "str", "etr", "escape", "think")
ROLES = tuple(f"{role}_token" for role in (*_ROLES, "soc", "eoc"))


def compare_tokens(case: Case) -> list[Check]:
    """Every token and setting that the bundle states; nothing to check where it states none."""
    said = case.feeding
    if said is None:
        return []
    wrong = [*_spelled(case, said), *_ends(case, said), *_roles(case, said), *_placeholders(case, said)]
    unsaid, sampler = _unsaid(case), _sampler(case, said)
    wrong += [f"chosen: {name}, which a file gives" for name in sorted({*said.chosen} - unsaid)]
    wrong += [f"chosen: {name} is missing, which no file gives" for name in sorted(unsaid - {*said.chosen})]
    return [
        none("feeding: tokens", wrong, "differences", len(said.tokens.roles) + len(said.tokens.stops)),
        none("feeding: sampler", sampler, "differences", len(_SAMPLER)),
        stated("feeding: chosen, for no file of the checkpoint gives it", len(said.chosen), "settings"),
    ]


def role(case: Case, name: str) -> str | None:
    """The text of the token that tokenizer_config.json gives a role, at its top or in a map of the model's own."""
    top = case.folder.optional_json("tokenizer_config.json")
    maps = [top.get("model_specific_special_tokens"), top.get("extra_special_tokens")]
    found = (place.get(name) for place in (top, *(one for one in maps if isinstance(one, dict))))
    value = next((one for one in found if one is not None), None)
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _spelled(case: Case, said: Feeding) -> list[str]:
    """Ids and texts must go together in the tokenizer."""
    tokens = said.tokens
    named: dict[str, Any] = {"start": tokens.start, "pad": tokens.pad, **tokens.roles, **tokens.placeholders}
    named |= {f"stop {stop.id}": stop for stop in tokens.stops}
    if tokens.thought is not None:
        named |= {"thought.begin": tokens.thought.begin, "thought.end": tokens.thought.end}
    return [
        f"{name}: {token.id} is written {token.text!r}, the tokenizer has {text!r}"
        for name, token in named.items()
        if (text := case.spelled(token.id)) != token.text
    ]


def _ends(case: Case, said: Feeding) -> list[str]:
    tokens, settings = said.tokens, case.named_stops.generation
    wrong = [] if tokens.start.id == case.start else [f"start: {tokens.start.id}, expected {case.start}"]
    pad = _pad(case)
    wrong += [f"pad: {tokens.pad.id}, expected {pad}"] if pad not in (None, tokens.pad.id) else []
    found = [stop.id for stop in tokens.stops]
    wrong += [] if found == case.stops else [f"stops: {found}, expected {case.stops}"]
    suppressed = sorted(settings.suppress_tokens or [])
    return wrong + ([] if tokens.suppressed == suppressed else [f"suppressed: {tokens.suppressed[:5]}"])


def _pad(case: Case) -> int | None:
    config = case.folder.config
    text, word = config.get("text_config") or config, role(case, "pad_token")
    named = (case.named_stops.generation.pad_token_id, text.get("pad_token_id"))
    token = next((one for one in named if one is not None), None)
    return token if token is not None or word is None else case.token(word)


def _roles(case: Case, said: Feeding) -> list[str]:
    found = {name: token.text for name, token in said.tokens.roles.items()}
    expected = {name: text for name in ROLES if (text := role(case, name)) is not None}
    wrong = [
        f"{name}: {found.get(name)!r}, expected {expected.get(name)!r}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    begin, end = expected.get("soc_token"), expected.get("eoc_token")
    thought = said.tokens.thought
    if begin and end and (thought is None or (thought.begin.text, thought.end.text) != (begin, end)):
        wrong.append(f"thought: expected {begin!r} to {end!r}")
    return wrong


def _placeholders(case: Case, said: Feeding) -> list[str]:
    config, expected = case.folder.config, dict[str, int]()
    for name, fields in _NAMED.items():
        token = next((config[field] for field in fields if config.get(field) is not None), None)
        if type(token) is int and case.spelled(token) is not None:
            expected[name] = token
    found = {name: token.id for name, token in said.tokens.placeholders.items()}
    return [] if found == expected else [f"placeholders: {found}, expected {expected}"]


def _unsaid(case: Case) -> set[str]:
    """What no file gives and has to be chosen."""
    given = {key for key, value in case.folder.optional_json("generation_config.json").items() if value is not None}
    out = {"tokens.pad"} if _pad(case) is None else set()
    thought = case.feeding is not None and case.feeding.tokens.thought is not None
    if thought and not (role(case, "soc_token") and role(case, "eoc_token")):
        out.add("tokens.thought")
    if case.named_stops.generation.do_sample:
        out |= {f"sampler.{name}" for name in _SAMPLER if name not in given}
    return out


def _sampler(case: Case, said: Feeding) -> list[str]:
    given = case.folder.optional_json("generation_config.json")
    found, samples = said.sampler, bool(given.get("do_sample"))
    if found.sample != samples:
        return [f"sample: {found.sample}, do_sample is {given.get('do_sample')!r}"]
    values = {name: getattr(found, name) for name in _SAMPLER}
    if not samples:
        return [f"{name}: {value}, and nothing is drawn" for name, value in values.items() if value is not None]
    expected = {name: given.get(name) for name in _SAMPLER}
    expected["top_k"] = case.dims.vocab if expected["top_k"] == 0 else expected["top_k"]
    return [
        f"{name}: {value}, expected {expected[name]}"
        for name, value in values.items()
        if value is None or (expected[name] is not None and value != expected[name])
    ]
