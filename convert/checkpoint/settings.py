"""How to talk with a checkpoint: which tokens begin, pad and end an answer, how to draw them, names of control tokens.

Read once and strictly, before any work. No single file is believed about stops: many tools that save a fine-tuned
model write ``"eos_token_id": 1`` into generation_config.json, and such a model would run on past ``<turn|>``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.chat_template.source import read as read_template
from convert.checkpoint.config import CONFIG, read_config, read_fields
from convert.checkpoint.fields import Fields, Flag, Model, Natural, Positive, Share
from convert.checkpoint.strict_json import CONFIG_LIMIT, read_bytes, read_object, require, shown
from convert.checkpoint.turn_end import closing
from convert.checkpoint.vocabulary import Vocabulary, read_vocabulary
from convert.errors import CheckpointError

GENERATION, TOKENIZER_CONFIG, TEMPLATE = "generation_config.json", "tokenizer_config.json", "chat_template.jinja"
# Gemma's own values, for a generation_config.json that samples and leaves them out.
TOP_K, TOP_P, TEMPERATURE = 64, 0.95, 1.0
# And for a checkpoint that names none.
PAD, CHANNEL = 0, ("<|channel>", "<channel|>")
_BASE = ("bos_token", "eos_token", "pad_token", "unk_token")
_TURNS = ("sot_token", "eot_token")
_TOOLS = ("std_token", "etd_token", "stc_token", "etc_token", "str_token", "etr_token", "escape_token")
_THOUGHTS = ("think_token", "soc_token", "eoc_token")
ROLES = (*_BASE, *_TURNS, *_TOOLS, *_THOUGHTS)
# What a template puts where an image or a sound belongs, by the fields of config.json that name it.
PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "image": ("image_token_id",),
    "image_begin": ("boi_token_id",),
    "image_end": ("eoi_token_id",),
    "audio": ("audio_token_id",),
    "audio_begin": ("boa_token_id",),
    "audio_end": ("eoa_token_id", "eoa_token_index"),
    "video": ("video_token_id",),
}
# What would change an answer and the engines do not do, with the value that changes nothing.
_NOT_CARRIED: Mapping[str, float] = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "num_beams": 1,
    "guidance_scale": 1.0,
}


@dataclass(frozen=True)
class Sampler:
    """How a token is drawn; ``sample`` false takes the best one every time, whatever the others say."""

    sample: bool
    top_k: int
    top_p: float
    temperature: float


class _Drawn(Model):
    do_sample: Flag
    top_k: Natural = TOP_K
    top_p: Share = TOP_P
    temperature: Positive = TEMPERATURE


@dataclass(frozen=True)
class Stop:
    """A token that ends an answer.

    Attributes:
        token: its id.
        text: how it is written.
        sources: who names it, for example ``tokenizer_config.json eot_token``.
    """

    token: int
    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What the checkpoint's files say together.

    Attributes:
        start: id of the token that every conversation begins with.
        pad: id of the padding token.
        channel: the tokens around a model's thoughts; None when it has none.
        chosen: what no file says and is Gemma's own value here, as ``name value``.
        stops: every token that ends an answer, by id.
        suppressed: ids that are never drawn.
        roles: texts of the special tokens by the role that tokenizer_config.json gives them; each is one token.
        placeholders: ids of those of ``PLACEHOLDERS`` that config.json names and the tokenizer has.
        texts: how the tokens are written that are named here, by id; not of a padding token that is none.
        not_carried: settings of generation_config.json that no engine follows, as ``name value``.
    """

    start: int
    pad: int
    channel: tuple[str, str] | None
    chosen: tuple[str, ...]
    stops: tuple[Stop, ...]
    suppressed: tuple[int, ...]
    sampler: Sampler
    roles: Mapping[str, str]
    placeholders: Mapping[str, int]
    texts: Mapping[int, str]
    not_carried: tuple[str, ...]

    @property
    def added(self) -> tuple[Stop, ...]:
        """Stops that generation_config.json does not name."""
        return tuple(stop for stop in self.stops if not any(s.startswith(GENERATION) for s in stop.sources))


def read_settings(folder: Path) -> Settings:
    """Reads config.json, generation_config.json, tokenizer_config.json, tokenizer.json and the chat template.

    A value that is null counts as left out. Where generation_config.json samples and leaves ``top_k``, ``top_p`` or
    ``temperature`` out, they are Gemma's: 64, 0.95 and 1.0; ``top_k`` 0 is no bound. Where no file names the padding
    token or the tokens around thoughts, they are Gemma's too, the latter if the tokenizer has them. ``chosen`` says so.

    Raises:
        CheckpointError: a file is missing or malformed, a value has a wrong type, a token has no row or is not in the
            tokenizer, files disagree about the start token, or nothing says which token ends the model's turn.
    """
    asked = f"read {folder}"
    text, whole = read_fields(folder)
    generation, tokens = _given(folder, GENERATION, asked), _given(folder, TOKENIZER_CONFIG, asked)
    rows = read_config(folder).vocab
    vocabulary = read_vocabulary(folder, rows, asked)
    roles = _roles(tokens, vocabulary)
    stops = _Stops(vocabulary, rows)
    stops.ids(generation, GENERATION)
    _stop_strings(generation, stops)
    for holder, name in ((whole, CONFIG), (text, f"{CONFIG} text_config")) if text is not whole else ((whole, CONFIG),):
        stops.ids(_without_nulls(holder), name)
    for role in ("eos_token", "eot_token"):
        stops.text(roles.get(role), f"{TOKENIZER_CONFIG} {role}")
    # The model waits there for a tool's answer; without a stop it would make one up.
    stops.text(roles.get("str_token") if "stc_token" in roles else None, f"{TOKENIZER_CONFIG} str_token")
    _turn_end(read_template(folder).text, roles, stops, asked)
    pad, channel = _pad(generation, text, roles, vocabulary, rows), _channel(roles, vocabulary)
    unsaid: dict[str, object] = {"pad_token_id": PAD} if pad is None else {}
    sampler = _sampler(generation, rows)
    if sampler.sample:
        given = {"top_k": TOP_K, "top_p": TOP_P, "temperature": TEMPERATURE}
        unsaid |= {name: value for name, value in given.items() if name not in generation.values}
    if channel is not None and not {"soc_token", "eoc_token"} <= roles.keys():
        unsaid["thoughts"] = f"between {channel[0]} and {channel[1]}"
    start = _start(generation, text, tokens, roles, vocabulary, rows)
    pad_id, placeholders = PAD if pad is None else pad, _placeholders(whole, vocabulary)
    named = [vocabulary.id(text) for text in (*roles.values(), *(channel or ()))]
    texts = {id: vocabulary.text(id) for id in (start, pad_id, *placeholders.values(), *named) if id is not None}
    return Settings(
        start=start,
        pad=pad_id,
        channel=channel,
        chosen=tuple(f"{name} {value}" for name, value in unsaid.items()),
        stops=stops.all(),
        suppressed=tuple(_ids(generation, "suppress_tokens", rows)),
        sampler=sampler,
        roles=roles,
        placeholders=placeholders,
        texts={id: text for id, text in texts.items() if text is not None},
        not_carried=_not_carried(generation),
    )


def complete_generation(folder: Path, settings: Settings) -> bytes:
    """generation_config.json for a reader that knows no other file.

    With every stop, and where it samples with the sampler that was chosen; else as it is, byte for byte.
    """
    path, asked, sampler = folder / GENERATION, f"read {folder}", settings.sampler
    content = read_object(path, asked)
    more: dict[str, Any] = {"eos_token_id": [stop.token for stop in settings.stops]} if settings.added else {}
    if sampler.sample:
        values = {"top_k": sampler.top_k, "top_p": sampler.top_p, "temperature": sampler.temperature}
        more |= {name: value for name, value in values.items() if content.get(name) is None}
    if not more:
        return read_bytes(path, asked, CONFIG_LIMIT)
    content |= more
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


class _Stops:
    """Collects stops and who names them."""

    def __init__(self, vocabulary: Vocabulary, rows: int) -> None:
        self._vocabulary, self._rows = vocabulary, rows
        self._found: dict[int, list[str]] = {}

    def ids(self, fields: Fields, source: str) -> None:
        for token in _ids(fields, "eos_token_id", self._rows):
            if self._vocabulary.text(token) is None:
                raise fields.fail("eos_token_id", f"a token of tokenizer.json, which has none with the id {token}")
            self._found.setdefault(token, []).append(f"{source} eos_token_id")

    def text(self, text: str | None, source: str) -> None:
        token = None if text is None else self._vocabulary.id(text)
        if token is not None:
            self._found.setdefault(token, []).append(source)

    def leading(self, text: str) -> str | None:
        return self._vocabulary.leading(text)

    def is_token(self, text: str) -> bool:
        return self._vocabulary.id(text) is not None

    def all(self) -> tuple[Stop, ...]:
        found = sorted(self._found.items())
        return tuple(Stop(token, self._vocabulary.text(token) or "", tuple(sources)) for token, sources in found)


def _given(folder: Path, name: str, asked: str) -> Fields:
    """The fields of a file that must be there, without those that are null."""
    require(folder, name, asked)
    return _without_nulls(Fields(read_object(folder / name, asked), name, asked))


def _without_nulls(fields: Fields) -> Fields:
    values = {name: value for name, value in fields.values.items() if value is not None}
    return Fields(values, fields.path, fields.asked)


def _ids(fields: Fields, name: str, rows: int) -> list[int]:
    """A token id or a list of them; nothing when the field is null or left out."""
    value = fields.values.get(name)
    tokens = [] if value is None else value if isinstance(value, list) else [value]
    if not all(type(token) is int and 0 <= token < rows for token in tokens):
        raise fields.fail(name, f"a token's id below vocab_size, {rows}, or a list of them")
    return tokens


def _roles(tokens: Fields, vocabulary: Vocabulary) -> dict[str, str]:
    """Texts of the special tokens by role. Published files have them at top level, others in a map of their own."""
    out = {}
    maps = [tokens.values.get(name) for name in ("model_specific_special_tokens", "extra_special_tokens")]
    for role in ROLES:
        places: list[Any] = [tokens.values, *(each for each in maps if isinstance(each, dict))]
        value = next((place[role] for place in places if place.get(role) is not None), None)
        text = value.get("content") if isinstance(value, dict) else value
        if text is None and value is None:
            continue
        if not isinstance(text, str) or not text:
            found = f"{TOKENIZER_CONFIG}: {role} is {shown(value)}"
            raise CheckpointError(tokens.asked, found, "It must be a token's text")
        if vocabulary.id(text) is None:
            found = f"{TOKENIZER_CONFIG}: {role} is {shown(text)}, which is no token of tokenizer.json"
            raise CheckpointError(tokens.asked, found, "Take both files from the same model")
        out[role] = text
    return out


def _pad(generation: Fields, text: Fields, roles: Mapping[str, str], vocabulary: Vocabulary, rows: int) -> int | None:
    named = [one for fields in (generation, text) for one in _ids(fields, "pad_token_id", rows)]
    return named[0] if named else vocabulary.id(roles["pad_token"]) if "pad_token" in roles else None


def _channel(roles: Mapping[str, str], vocabulary: Vocabulary) -> tuple[str, str] | None:
    begin, end = roles.get("soc_token", CHANNEL[0]), roles.get("eoc_token", CHANNEL[1])
    return None if vocabulary.id(begin) is None or vocabulary.id(end) is None else (begin, end)


def _placeholders(whole: Fields, vocabulary: Vocabulary) -> dict[str, int]:
    """A tool that saves a model of text alone may write ids that its tokenizer does not have: those are left out."""
    found = {}
    for name, fields in PLACEHOLDERS.items():
        token = next((whole.values[field] for field in fields if whole.has(field)), None)
        if type(token) is int and token >= 0 and vocabulary.text(token) is not None:
            found[name] = token
    return found


def _start(
    generation: Fields, text: Fields, tokens: Fields, roles: Mapping[str, str], vocabulary: Vocabulary, rows: int
) -> int:
    named = [one for f in (generation, text) for one in _ids(f, "bos_token_id", rows)]
    word = roles.get("bos_token")
    token = None if word is None else vocabulary.id(word)
    if not named and token is None:
        raise generation.fail("bos_token_id", "the id of the token that conversations begin with")
    start = named[0] if named else token
    assert start is not None
    if token is not None and start != token:
        found = f"{TOKENIZER_CONFIG}: bos_token {shown(word)} has the id {token}, and bos_token_id is {start}"
        raise CheckpointError(tokens.asked, found, "Take both files from the same model")
    if vocabulary.text(start) is None:
        raise generation.fail("bos_token_id", f"a token of tokenizer.json, which has none with the id {start}")
    return start


def _stop_strings(generation: Fields, stops: _Stops) -> None:
    given = generation.values.get("stop_strings")
    texts = [] if given is None else given if isinstance(given, list) else [given]
    for text in texts:
        if not isinstance(text, str) or not stops.is_token(text):
            raise generation.fail("stop_strings", "left out, or texts of single tokens, which the engine can stop at")
        stops.text(text, f"{GENERATION} stop_strings")


def _turn_end(template: str, roles: Mapping[str, str], stops: _Stops, asked: str) -> None:
    """Adds the token that the template closes the model's turn with.

    Raises:
        CheckpointError: it closes the turn with text that is no token, or neither it nor tokenizer_config.json says
            which token ends a turn.
    """
    found = closing(template, roles)
    token = stops.leading(found.text)
    if token is not None:
        stops.text(token, "the chat template")
    elif found.text:
        said = (
            f"the chat template closes the model's turn with {shown(found.text)}, which is no token of tokenizer.json"
        )
        raise CheckpointError(
            asked, said, "No stop token would end an answer. Use the template of the model's training"
        )
    elif "eot_token" not in roles:
        why = f"cannot be rendered: {found.fault}" if found.fault else "prints nothing after the model's words"
        said = f"nothing says which token ends the model's turn: {TOKENIZER_CONFIG} has no eot_token and"
        raise CheckpointError(asked, f"{said} the chat template {why}", f"Add eot_token to {TOKENIZER_CONFIG}")


def _sampler(generation: Fields, rows: int) -> Sampler:
    if generation.values.get("do_sample", False) is False:  # then it may have any sampler
        return Sampler(False, TOP_K, TOP_P, TEMPERATURE)
    given = generation.read(_Drawn)
    return Sampler(True, min(given.top_k or rows, rows), given.top_p, given.temperature)


def _not_carried(generation: Fields) -> tuple[str, ...]:
    values = generation.values
    return tuple(f"{name} {shown(values[name])}" for name, off in _NOT_CARRIED.items() if values.get(name, off) != off)
