"""A small tokenizer in Gemma's style: BPE over text whose spaces are ``▁``, bytes for what it does not know.

The special tokens carry Gemma 4's names and ids; all other ids below 107 are unused. The merges are learned here, by
counting, so that the file depends on nothing but the corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

NAMED = {
    "pad_token": (0, "<pad>"),
    "eos_token": (1, "<eos>"),
    "bos_token": (2, "<bos>"),
    "unk_token": (3, "<unk>"),
    "mask_token": (4, "<mask>"),
    "std_token": (46, "<|tool>"),
    "etd_token": (47, "<tool|>"),
    "stc_token": (48, "<|tool_call>"),
    "etc_token": (49, "<tool_call|>"),
    "str_token": (50, "<|tool_response>"),
    "etr_token": (51, "<tool_response|>"),
    "escape_token": (52, '<|"|>'),
    "think_token": (98, "<|think|>"),
    "soc_token": (100, "<|channel>"),
    "eoc_token": (101, "<channel|>"),
    "sot_token": (105, "<|turn>"),
    "eot_token": (106, "<turn|>"),
}
FIRST_FREE = 107
# Where a vocabulary has no room for published ids: before an image, each row of it, behind it.
PICTURE = {"<|image>": 102, "<|image|>": 103, "<image|>": 104}
# What published vocabularies have for images, sound and video, near their end, and by which ids.
MEDIA = {
    "<|image>": 255999,
    "<|audio>": 256000,
    "<|image|>": 258880,
    "<|audio|>": 258881,
    "<image|>": 258882,
    "<audio|>": 258883,
    "<|video|>": 258884,
}
STOPS = frozenset({NAMED["eos_token"][0], NAMED["eot_token"][0]})
BASE = ("pad_token", "eos_token", "bos_token", "unk_token", "mask_token")


@dataclass(frozen=True)
class Pieces:
    """The vocabulary: pieces by id and merges by rank."""

    pieces: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    spoken: frozenset[int]

    def media_ids(self) -> dict[str, int]:
        """Ids of the tokens for images, sound and video; a small vocabulary has them at its end, or those for images
        among its first ids, or none."""
        if pictured := {token: i for token, i in PICTURE.items() if self.pieces[i] == token}:
            return pictured
        last = len(self.pieces) - len(MEDIA)
        found = {token: i for i, token in enumerate(self.pieces[last:], last) if token in MEDIA}
        return found or {token: i for token, i in MEDIA.items() if self.pieces[i : i + 1] == (token,)}


def learn(size: int, corpus: Iterable[str], allowed: Callable[[str, str], bool] | None = None) -> Pieces:
    """Learns a vocabulary of exactly ``size`` pieces.

    Args:
        corpus: words, as often as they count, spaces as ``▁``.
        allowed: whether two pieces may be merged; by default any may.

    Raises:
        ValueError: too small for the special tokens, the 256 bytes and the letters.
    """
    special = dict(NAMED.values())
    pieces = [special.get(i, f"<unused{i}>") for i in range(FIRST_FREE)]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    counts = {tuple(word): count for word, count in Counter(corpus).items()}
    letters = sorted({"\n", "▁", *map(chr, range(33, 127))} | {letter for word in counts for letter in word})
    first_text = len(pieces)
    pieces += letters
    if len(pieces) > size:
        raise ValueError(f"a vocabulary of {size} cannot hold the {len(pieces)} pieces it needs at least")
    # Runs of spaces and line breaks never occur inside the corpus' words.
    merges = [("\n", "\n"), ("▁", "▁")][: size - len(pieces)]
    pieces += [left + right for left, right in merges]
    known = set(pieces)
    while len(pieces) < size:
        pair = _most_frequent(counts, allowed)
        if pair is None:
            break
        merges.append(pair)
        counts = {_merged(word, pair): count for word, count in counts.items()}
        if pair[0] + pair[1] not in known:
            known.add(pair[0] + pair[1])
            pieces.append(pair[0] + pair[1])
    last_text = len(pieces)
    pieces += [f"<unused{i}>" for i in range(last_text, size)]
    return Pieces(tuple(pieces), tuple(merges), frozenset(range(first_text, last_text)) | STOPS)


def with_picture_tokens(vocabulary: Pieces) -> Pieces:
    """The same with the tokens for images in place of unused ones; text is cut as before."""
    pieces = list(vocabulary.pieces)
    for token, i in PICTURE.items():
        pieces[i] = token
    return replace(vocabulary, pieces=tuple(pieces))


def _most_frequent(
    counts: dict[tuple[str, ...], int], allowed: Callable[[str, str], bool] | None
) -> tuple[str, str] | None:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in counts.items():
        for pair in pairwise(word):
            if allowed is None or allowed(*pair):
                pairs[pair] += count
    # Ties go to the smallest pair: counting order must not matter.
    return min(pairs, key=lambda pair: (-pairs[pair], pair)) if pairs else None


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def splits(pieces: Iterable[str], known: Set[str]) -> Iterator[tuple[str, str]]:
    """All ways to put a piece together from two known ones, the first piece's ways first."""
    for piece in dict.fromkeys(pieces):
        for at in range(1, len(piece)):
            if piece[:at] in known and piece[at:] in known:
                yield piece[:at], piece[at:]


def tokenizer_json(vocabulary: Pieces, published: bool = False) -> dict[str, Any]:
    """tokenizer.json for the ``tokenizers`` library.

    Args:
        published: encoding with special tokens adds none, as with published files; else it prepends ``<bos>``.
    """
    special = set(range(FIRST_FREE)) | set(vocabulary.media_ids().values())
    added = [
        {
            "id": i,
            "content": piece,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, piece in enumerate(vocabulary.pieces)
        if i in special or piece.startswith("<unused")
    ]
    bos: list[dict[str, Any]] = [] if published else [{"SpecialToken": {"id": "<bos>", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [*bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {} if published else {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(vocabulary.pieces)},
            "merges": [list(pair) for pair in vocabulary.merges],
        },
    }


def published_text(vocabulary: Pieces) -> str:
    """tokenizer.json as the ``tokenizers`` library lays it out when it saves: two blanks a level, a line an entry.

    The two long members are put together here, because the standard library takes seconds for half a million pairs.
    """
    content = tokenizer_json(replace(vocabulary, merges=()), published=True)
    content["model"]["vocab"] = {}
    quoted = {piece: json.dumps(piece, ensure_ascii=False) for piece in vocabulary.pieces}
    entries = ",\n".join(f"      {quoted[piece]}: {i}" for i, piece in enumerate(vocabulary.pieces))
    pairs = ",\n".join(
        f"      [\n        {quoted[left]},\n        {quoted[right]}\n      ]" for left, right in vocabulary.merges
    )
    frame = json.dumps(content, indent=2, ensure_ascii=False)
    return frame.replace('"vocab": {}', '"vocab": {\n' + entries + "\n    }").replace(
        '"merges": []', '"merges": [\n' + pairs + "\n    ]"
    )


def tokenizer_config(max_context: int, pictures: bool = False) -> dict[str, Any]:
    """tokenizer_config.json for transformers' ``AutoTokenizer``; with ``pictures`` of a model that sees."""
    names = {name: content for name, (_, content) in NAMED.items()}
    if pictures:
        names |= dict(zip(("boi_token", "image_token", "eoi_token"), PICTURE, strict=True))
    return dict(
        sorted(
            {
                **names,
                "add_bos_token": True,
                "backend": "tokenizers",
                "clean_up_tokenization_spaces": False,
                "model_max_length": max_context,
                "model_specific_special_tokens": {name: text for name, text in names.items() if name not in BASE},
                "padding_side": "left",
                "tokenizer_class": "GemmaTokenizer",
            }.items()
        )
    )


def chat_template(pictures: bool) -> str:
    """The chat template; where ``pictures`` are seen it prints their token, else it leaves them out."""
    return CHAT_TEMPLATE.replace(_TEXT_ENDS, _IMAGE + _TEXT_ENDS) if pictures else CHAT_TEMPLATE


_TEXT_ENDS = """\
            {%- endif -%}
        {%- endfor -%}
"""
_IMAGE = """\
            {%- elif item['type'] == 'image' -%}
                {{- '<|image|>' -}}
"""
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{- '<|turn>' + role + '\\n' -}}
    {%- if message['content'] is string -%}
        {{- message['content'] | trim -}}
    {%- else -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}
                {{- item['text'] | trim -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
{%- endif -%}
"""
