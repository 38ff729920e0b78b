"""How a bundle says that its model is fed: the part ``feeding`` of manifest.json, read strictly.

``mobile_samples/MANIFEST.md`` says what each field means. A rule is a word; one that is not known here is refused, and
so is a field too many or too few, for then the judge would feed the model by something else than the file says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime_tests.errors import InputError
from runtime_tests.readers.manifest.images import Images
from runtime_tests.readers.objects import read_object

LIMIT = 16 << 20  # bytes of a manifest
PART = "feeding"
_Count = Annotated[int, Field(ge=0, lt=1 << 48)]
_Positive = Annotated[int, Field(gt=0, lt=1 << 48)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Token(_Part):
    """A token: ``text`` is None where the tokenizer has none of this id."""

    id: _Count
    text: str | None


class Stop(_Part):
    """A token that ends an answer."""

    id: _Count
    text: str
    sources: list[str]


class Pair(_Part):
    """The tokens around something."""

    begin: Token
    end: Token


class Tokens(_Part):
    """Tokens with a meaning."""

    start: Token
    pad: Token
    stops: list[Stop]
    suppressed: list[_Count]
    thought: Pair | None
    roles: dict[str, Token]
    placeholders: dict[str, Token]


class Sampler(_Part):
    """How a token is drawn."""

    sample: bool
    top_k: _Positive | None
    top_p: _Number | None
    temperature: _Number | None


class Rotary(_Part):
    """Rotary embedding of a type of layer."""

    theta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    kind: Literal["default", "proportional"]
    partial_factor: _Number
    head_dim: Annotated[int, Field(gt=0, le=1 << 16, multiple_of=2)]
    turning: _Positive
    layout: Literal["halves"]


class Ring(_Part):
    """Where keys and values lie that are not kept for each position: ``coreml/rings.py`` does by this word."""

    rows: Annotated[int, Field(gt=0, le=1 << 24)]
    rule: Literal["before_the_call_then_its_own"]


class LayerType(_Part):
    """What all layers of a type have in common."""

    rotary: Rotary
    window: _Positive | None
    ring: Ring | None


class Mask(_Part):
    """Numbers of a mask."""

    visible: _Number
    hidden: _Number
    rule: Literal["causal"]


class Length(_Part):
    """A function that prefills."""

    function: str
    tokens: _Positive


class Padding(_Part):
    """What fills a call."""

    embeddings: Literal["zeros"]
    positions: Literal["continue"]


class Chunks(_Part):
    """How a prompt is cut into calls: ``coreml/greedy.py`` does by these words."""

    context: _Positive
    lengths: list[Length]
    whole: Literal["longest"]
    rest: Literal["shortest_that_holds"]
    padding: Padding
    past_end: Literal["shorter_or_decode"]
    last_token: Literal["decode"]


class Input(_Part):
    """Where an input comes from."""

    name: str
    source: Literal["table", "position", "cosines", "sines", "mask", "ring_rows", "earlier_part"]
    table: str | None
    layer_type: str | None


class Output(_Part):
    """An output of the last part that has a function."""

    name: str
    meaning: Literal["logits", "nothing"]


class Linked(_Part):
    """What a function of a part takes from earlier parts and gives to later ones."""

    takes: list[str]
    gives: list[str]


class State(_Part):
    """A state of a part."""

    name: str
    holds: Literal["keys", "values"]
    layers: list[_Count]


class Package(_Part):
    """One part."""

    model: str
    functions: dict[str, Linked]
    states: list[State]


class Table(_Part):
    """A table of rows."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
    format: Literal["GBROWS1"]
    rows: _Positive
    columns: _Positive
    bits: _Positive
    groups: _Count
    row_bytes: _Positive
    rows_offset: _Count
    scales_offset: _Count
    multiplier: _Number
    shape: list[_Positive]


class Calls(_Part):
    """What a call takes."""

    layer_types: dict[str, LayerType]
    mask: Mask
    chunks: Chunks
    inputs: list[Input]
    outputs: list[Output]
    parts: list[Package]
    tables: dict[str, Table]


class Feeding(_Part):
    """The whole part; ``calls`` is None where a runtime makes the calls, ``images`` where the model takes none."""

    tokens: Tokens
    sampler: Sampler
    chosen: list[str]
    calls: Calls | None
    images: Images | None = None


def read_feeding(path: Path) -> Feeding:
    """A file that holds this part alone.

    Raises:
        InputError: missing, damaged, or it does not fit; names the first field.
    """
    return _parsed(read_object(path, LIMIT), f"{path.parent.name}/{path.name}")


def feeding_of(manifest: Path) -> Feeding:
    """The part of a manifest.json.

    Raises:
        InputError: as :func:`read_feeding`.
    """
    where, whole = f"{manifest.parent.name}/{manifest.name}", read_object(manifest, LIMIT)
    if PART not in whole:
        raise InputError(f"{where}: does not say how its model is fed ({PART}); build the bundle again")
    return _parsed(whole[PART], f"{where}: {PART}")


def _parsed(found: Any, where: str) -> Feeding:
    try:
        return Feeding.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"{where}: {field}: {first['msg']}") from error
