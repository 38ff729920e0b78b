"""The drafter of multi-token prediction: four layers or so that guess tokens, which the model then verifies.

It is published alone, beside its model, and opened by ``convert.checkpoint.drafter``. As a model it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint.config import FULL, SLIDING, TextConfig, read_reader
from convert.checkpoint.fields import Count, Fields, Flag, Model
from convert.checkpoint.ledger import Ledger
from convert.checkpoint.module import Kind
from convert.checkpoint.modules import text
from convert.checkpoint.outline import Outline, Part
from convert.checkpoint.safetensors import Tensor
from convert.errors import CheckpointError

MODEL_TYPE = "gemma4_assistant"
_HEAD, _TABLE = "lm_head", "embed_tokens"
# What stands beside the decoder's own parts, and not below ``model.``.
_OUTSIDE = ("pre_projection", "post_projection")
CENTROIDS, ORDERING = "masked_embedding.centroids", "masked_embedding.token_ordering"


class _Assistant(Model):
    """The fields of a drafter beside those of its decoder."""

    backbone_hidden_size: Count = 1536
    use_ordered_embeddings: Flag = False
    num_centroids: Count = 2048
    centroid_intermediate_top_k: Count = 32
    tie_word_embeddings: Flag = True


@dataclass(frozen=True)
class Groups:
    """Groups of tokens: so many, of which so many are ``taken`` and scored."""

    count: int
    taken: int


@dataclass(frozen=True)
class DrafterConfig:
    """A drafter.

    Attributes:
        text: its decoder; the owners of its layers are layers of the model.
        backbone: hidden size of the model.
        groups: of tokens, of which transformers scores the likeliest alone; None: all are scored.
    """

    text: TextConfig
    backbone: int
    groups: Groups | None


def outline(whole: Fields, target: TextConfig) -> Outline[DrafterConfig]:
    """What a drafter's checkpoint has to hold.

    Where ``use_ordered_embeddings`` is true, transformers scores the tokens of the likeliest groups alone. In the whole
    head the best token is the same one unless the groups miss it, and a draft is verified in any case.

    Args:
        whole: its config.json.
        target: the model that it drafts for.

    Raises:
        CheckpointError: config.json is not that of a drafter, or of one that does not fit the model; says in what.
    """
    if whole.values.get("model_type") != MODEL_TYPE:
        raise whole.fail("model_type", f"{MODEL_TYPE!r}, as in the repositories of drafters, ...-assistant")
    read = whole.read(_Assistant)
    if not read.tie_word_embeddings:
        raise whole.fail("tie_word_embeddings", "true: a drafter's head is its embedding")
    groups = None
    if read.use_ordered_embeddings:
        groups = Groups(read.num_centroids, read.centroid_intermediate_top_k)
        if target.vocab % groups.count or groups.taken > groups.count:
            raise whole.fail("num_centroids", f"a divisor of {target.vocab}, at least centroid_intermediate_top_k")
    lent = {kind: max(layer.index for layer in target.owners if layer.kind == kind) for kind in _kinds(target)}
    config = DrafterConfig(
        text=read_reader(whole.object("text_config"), whole, lent),
        backbone=read.backbone_hidden_size,
        groups=groups,
    )
    _check_fit(config, target, whole.asked)
    return Outline(config=config, name=_name, parts=_parts(config), floats=True, left_out=_left_out)


def _kinds(target: TextConfig) -> list[str]:
    return [kind for kind in (SLIDING, FULL) if any(layer.kind == kind for layer in target.owners)]


def _check_fit(config: DrafterConfig, target: TextConfig, asked: str) -> None:
    """Refuses a drafter whose numbers mean something else than the model's."""
    mine = config.text
    pairs: list[tuple[str, object, object]] = [
        ("backbone_hidden_size", config.backbone, target.hidden),
        ("vocab_size", mine.vocab, target.vocab),
        ("sliding_window", mine.window, target.window),
    ]
    for layer in mine.layers:
        owner = target.layers[layer.owner]
        pairs.append((f"head_dim of {layer.kind}", layer.head_dim, owner.head_dim))
        pairs.append((f"key/value heads of {layer.kind}", layer.kv_heads, owner.kv_heads))
        pairs.append((f"rope of {layer.kind}", mine.ropes[layer.kind], target.ropes[layer.kind]))
    for what, found, wanted in pairs:
        if found != wanted:
            said = f"the drafter does not fit the model: its {what} is {found}, the model's {wanted}"
            raise CheckpointError(asked, said, "Give the drafter of this model: its id with -assistant behind it")


def _parts(config: DrafterConfig) -> tuple[Part, ...]:
    """In the order of computation (transformers 5.22.2, ``Gemma4AssistantForCausalLM``)."""
    narrow = config.text.hidden
    return (
        Part(_OUTSIDE[0], "linear", (narrow, 2 * config.backbone), rounded="perhaps"),
        *(part for part in text.parts(config.text) if part.kind != "embedding"),
        Part(_OUTSIDE[1], "linear", (config.backbone, narrow), rounded="perhaps"),
        Part(_HEAD, "linear", (config.text.vocab, narrow), rounded="perhaps"),
        *(
            ()
            if config.groups is None
            else (Part(CENTROIDS, "linear", (config.groups.count, narrow), rounded="perhaps"),)
        ),
    )


def _name(key: str) -> str:
    first = key.split(".", 1)[0]
    if first == _HEAD:
        return f"model.{_TABLE}{key.removeprefix(_HEAD)}"
    return key if first in _OUTSIDE or key.startswith(CENTROIDS) else f"model.{key}"


def ordering(ledger: Ledger, config: DrafterConfig) -> dict[str, NDArray[np.int64]]:
    """The tokens, group by group, ``[vocab]``; empty where there are no groups.

    Raises:
        CheckpointError: they are not all tokens, each once.
    """
    if config.groups is None:
        return {}
    tensor = ledger.take(ORDERING, [(config.text.vocab,)], ("I64",))
    found = tensor.read(0, config.text.vocab).view("<i8").reshape(-1)
    if not np.array_equal(np.sort(found), np.arange(config.text.vocab)):
        raise CheckpointError(ledger.asked, f"tensor {ORDERING} does not name every token once", "Download it again")
    return {ORDERING: found}


def _left_out(name: str, stored: Mapping[str, Tensor], asked: str) -> str | None:
    table = stored.get(f"model.{_TABLE}.weight")
    if name == f"{_HEAD}.weight" and table is not None:
        return text.tied_head(stored[name], table, asked)
    if name.startswith("masked_embedding."):
        return "groups of tokens, which config.json does not ask for"
    return None


def _unread(values: Mapping[str, Any]) -> str | None:
    if values.get("model_type") != MODEL_TYPE:
        return None
    found = f"a drafter that goes with a Gemma 4, not the model itself (model_type {MODEL_TYPE!r} in config.json)"
    return f"{found}; it is given with --drafter, beside its model"


MODULE = Kind(title="drafter", unread=_unread)
