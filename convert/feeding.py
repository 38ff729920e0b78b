"""How an app feeds a finished model: the part ``feeding`` of ``manifest.json``.

``mobile_samples/MANIFEST.md`` explains every field and gives the recipe. Rules are single words with one meaning each:
a reader that does not know a word refuses the file. What the checkpoint says is filled in here; what a call takes is
the target's to say, see ``Target.calls``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from convert.images import Images
from convert.strict import Count, Number, Positive, Strict, Token

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint

Chosen = Literal["tokens.pad", "tokens.thought", "sampler.top_k", "sampler.top_p", "sampler.temperature"]
Placeholder = Literal["image", "image_begin", "image_end", "audio", "audio_begin", "audio_end", "video"]
# What `Settings.chosen` calls them.
_CHOSEN: dict[str, Chosen] = {
    "pad_token_id": "tokens.pad",
    "thoughts": "tokens.thought",
    "top_k": "sampler.top_k",
    "top_p": "sampler.top_p",
    "temperature": "sampler.temperature",
}


class Stop(Strict):
    """A token that ends an answer, and which files of the checkpoint say so."""

    id: Count
    text: str
    sources: list[str]


class Pair(Strict):
    """The tokens around something."""

    begin: Token
    end: Token


class Tokens(Strict):
    """Tokens with a meaning.

    Attributes:
        start: every conversation begins with it.
        pad: stands where there is no token.
        stops: each of them ends an answer.
        suppressed: ids that are never drawn.
        thought: around a model's thoughts; null when it has none.
        roles: by the checkpoint's own names: ``sot_token`` and ``eot_token`` begin and end a turn.
        placeholders: what the chat template puts where an image or a sound belongs; only those that the checkpoint's
            config.json and tokenizer have, whether or not the bundle's model takes such: see ``Manifest.modalities``.
    """

    start: Token
    pad: Token
    stops: list[Stop]
    suppressed: list[Count]
    thought: Pair | None
    roles: dict[str, Token]
    placeholders: dict[Placeholder, Token]


class Sampler(Strict):
    """How a token is drawn. ``sample`` false: the best one, every time, and the others are null.

    Attributes:
        top_k: as large as the vocabulary where the checkpoint sets no bound.
    """

    sample: bool
    top_k: Positive | None
    top_p: Number | None
    temperature: Number | None


class Rotary(Strict):
    """Rotary embedding of one type of layer.

    Attributes:
        theta: base of the frequencies.
        kind: ``default``: all pairs turn; ``proportional``: the first ``turning`` ones, exponents spread over the head.
        partial_factor: part of the head that turns.
        head_dim: columns of a row of cosines or sines.
        turning: pairs that turn; the others have cosine 1 and sine 0.
        layout: ``halves``: columns i and i + head_dim / 2 belong to pair i and are equal.
    """

    theta: Number
    kind: Literal["default", "proportional"]
    partial_factor: Number
    head_dim: Positive
    turning: Positive
    layout: Literal["halves"]


class Ring(Strict):
    """Where a layer's keys and values are not kept for each position: p lies in row p modulo ``rows``.

    Attributes:
        rule: ``before_the_call_then_its_own``: a mask's columns are the rows as they were before the call, each the
            newest position that it holds, and then the call's own n rows; ``ring_rows`` says what each row becomes.
    """

    rows: Positive
    rule: Literal["before_the_call_then_its_own"]


class LayerType(Strict):
    """What all layers of a type have in common.

    Attributes:
        window: positions that a token looks back, itself included; null: all.
        ring: where their keys and values are kept; null: in a row for each position.
    """

    rotary: Rotary
    window: Positive | None
    ring: Ring | None


class Mask(Strict):
    """Numbers of a mask: ``visible`` where a token may look, ``hidden`` elsewhere.

    Attributes:
        rule: ``causal``: a token at position p may look at c with p - window < c <= p.
    """

    visible: Number
    hidden: Number
    rule: Literal["causal"]


class Length(Strict):
    """A function that prefills, and how many tokens it takes."""

    function: str
    tokens: Positive


class Padding(Strict):
    """What fills a call that has fewer tokens than its function takes.

    Attributes:
        embeddings: ``zeros``.
        positions: ``continue``: rotary and mask rows of padding are those of the positions that follow.
    """

    embeddings: Literal["zeros"]
    positions: Literal["continue"]


class Chunks(Strict):
    """How a prompt is cut into calls.

    Attributes:
        context: rows of the cache; a call at position p with n tokens, padding included, needs p + n <= context.
        lengths: ascending.
        whole: ``longest``: as long as it is filled, the longest function is called.
        rest: ``shortest_that_holds``: what is left goes into the shortest function that is long enough, padded.
        past_end: ``shorter_or_decode``: where a padded call would not fit, the longest function that is filled is
            called instead, and where there is none, ``decode``, of which the logits are not looked at.
        last_token: ``decode``: the prompt's last token is fed by the function ``decode``, which gives the first logits.
    """

    context: Positive
    lengths: list[Length]
    whole: Literal["longest"]
    rest: Literal["shortest_that_holds"]
    padding: Padding
    past_end: Literal["shorter_or_decode"]
    last_token: Literal["decode"]


class Input(Strict):
    """Where an input comes from; its shape and type stand in ``signatures``.

    Attributes:
        source: ``table``: rows of a table, one for each token; ``position``: of the call's first token; ``cosines``,
            ``sines``, ``mask``: rows of a type of layer, one for each token; ``ring_rows``: what each row of a layer
            type's ring becomes; ``earlier_part``: the output of the same name of an earlier part.
        table: key in ``tables``, for ``table`` alone.
        layer_type: key in ``layer_types``, for ``cosines``, ``sines``, ``mask`` and ``ring_rows`` alone.
    """

    name: str
    source: Literal["table", "position", "cosines", "sines", "mask", "ring_rows", "earlier_part"]
    table: str | None
    layer_type: str | None


class Output(Strict):
    """An output that no later part takes: ``logits``, softcap applied, or ``nothing`` that an app needs."""

    name: str
    meaning: Literal["logits", "nothing"]


class Linked(Strict):
    """A function of a part: what it takes from earlier parts and gives to later ones, by name."""

    takes: list[str]
    gives: list[str]


class State(Strict):
    """A state of a part: it holds ``keys`` or ``values`` of ``layers``, in this order, and begins as zeros."""

    name: str
    holds: Literal["keys", "values"]
    layers: list[Count]


class Part(Strict):
    """One package. A call of a function runs it in each part that has it, in order."""

    model: str
    functions: dict[str, Linked]
    states: list[State]


class Table(Strict):
    """A table of rows, one for each token id: its file's header says the same. Layout: MANIFEST.md, "Row tables".

    Attributes:
        format: the file's first seven bytes.
        bits: of an element; 16 is bfloat16, 32 float32.
        groups: float32 scales of a row; 0 for floats.
        row_bytes, rows_offset, scales_offset: bytes; ``scales_offset`` is 0 for floats.
        multiplier: of a row, after its scales.
        shape: what the columns of a row are for one token: [width], or [layers, width].
    """

    file: str
    format: Literal["GBROWS1"]
    rows: Positive
    columns: Positive
    bits: Literal[2, 4, 8, 16, 32]
    groups: Count
    row_bytes: Positive
    rows_offset: Count
    scales_offset: Count
    multiplier: Number
    shape: list[Positive]


class Calls(Strict):
    """What a call of the model takes, for an app that calls it itself."""

    layer_types: dict[str, LayerType]
    mask: Mask
    chunks: Chunks
    inputs: list[Input]
    outputs: list[Output]
    parts: list[Part]
    tables: dict[str, Table]


class Feeding(Strict):
    """How the model is fed.

    Attributes:
        chosen: what no file of the checkpoint says, so that Gemma's own value stands here.
    """

    tokens: Tokens
    sampler: Sampler
    chosen: list[Chosen]
    calls: Annotated[
        Calls | None,
        Field(
            description="null where a runtime makes the calls itself and reads what it needs from the model file: "
            "rotary embedding, window, tables, chunks and tokens are in that"
        ),
    ]
    images: Annotated[Images | None, Field(description="null where the model takes no images")] = None


def feeding(checkpoint: Checkpoint, calls: Calls | None, images: Images | None = None) -> Feeding:
    """The part of a manifest; ``calls`` and ``images`` are what the target says.

    Raises:
        CheckpointError: see ``read_settings``.
    """
    settings = checkpoint.settings
    sampler, ids = settings.sampler, {text: token for token, text in settings.texts.items()}

    def by_id(token: int) -> Token:
        return Token(id=token, text=settings.texts.get(token))

    def by_text(text: str) -> Token:
        return Token(id=ids[text], text=text)

    begin_end = settings.channel
    drawn = (sampler.top_k, sampler.top_p, sampler.temperature) if sampler.sample else (None, None, None)
    return Feeding(
        tokens=Tokens(
            start=by_id(settings.start),
            pad=by_id(settings.pad),
            stops=[Stop(id=stop.token, text=stop.text, sources=list(stop.sources)) for stop in settings.stops],
            suppressed=sorted(settings.suppressed),
            thought=None if begin_end is None else Pair(begin=by_text(begin_end[0]), end=by_text(begin_end[1])),
            roles={role: by_text(text) for role, text in settings.roles.items()},
            placeholders={name: by_id(token) for name, token in settings.placeholders.items()},  # type: ignore[misc]
        ),
        sampler=Sampler(sample=sampler.sample, top_k=drawn[0], top_p=drawn[1], temperature=drawn[2]),
        chosen=[_CHOSEN[line.partition(" ")[0]] for line in settings.chosen],
        calls=calls,
        images=images,
    )


def to_json(made: Feeding) -> str:
    """Deterministic text of a file that holds this part alone."""
    import json

    return json.dumps(made.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
