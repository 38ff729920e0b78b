"""``manifest.json``: what a bundle is, for apps, release engineers and auditors. Apps read this file and nothing else
of the converter's.

The bytes depend on the inputs alone: keys are sorted, there are no clocks, machine names or paths. The JSON Schema is
committed beside this module; ``python -m convert.bundle.manifest`` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from convert.errors import ArtifactError
from convert.feeding import Feeding
from convert.strict import Strict as _Strict

SCHEMA_VERSION: Literal[1] = 1
SCHEMA = Path(__file__).parent / "schema" / "manifest.schema.json"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, description="bytes")]
Count = Annotated[int, Field(ge=0)]
ZEROS = "0" * 64


class File(_Strict):
    """A file by content."""

    bytes: Bytes
    sha256: Sha256


class Source(_Strict):
    """The checkpoint. ``id`` is a hub id, ``demo`` or a folder's name; ``files`` are the inputs that were used."""

    id: str
    revision: str | None
    format: str
    files: dict[str, File]


class Weights(_Strict):
    """The weights of one component that are stored in one way; ``bits`` of a weight, 16 and 32 are floats."""

    component: str
    bits: Literal[2, 4, 8, 16, 32]
    scales: str
    tensors: Count
    parameters: Count
    code_bytes: Bytes
    scale_bytes: Bytes


class Tensor(_Strict):
    """An input or output of a signature."""

    name: str
    shape: list[int]
    dtype: str


class Signature(_Strict):
    """One entry point of one section."""

    section: str
    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Cache(_Strict):
    """The KV cache: one key and one value tensor per owning layer, ``context`` positions each.

    Tensors of sliding layers hold the last ``ring`` positions, position p in row p modulo ``ring``, or, where their
    length is open, in order; null: they hold all. ``owners`` are layer indices: cache number i belongs to layer
    ``owners[i]``; ``readers`` maps every other layer to the layer whose cache it reads.
    """

    dtype: Literal["float32", "float16", "int8"]
    context: Annotated[int, Field(gt=0, description="tokens")]
    ring: Annotated[int | None, Field(gt=0, description="rows of sliding layers; null: as many as the context")] = None
    bytes: Bytes
    owners: list[int]
    readers: dict[int, int]
    window: Annotated[int, Field(gt=0, description="tokens a sliding layer looks back")]


class ImageMemory(_Strict):
    """What images take of the device's memory beside what text takes.

    Attributes:
        mapped_weights: of the encoder, memory-mapped.
        working: estimate of what the runtime takes beside them while it reads an image of the most tokens; null: none.
    """

    mapped_weights: Bytes
    working: Bytes | None


class Memory(_Strict):
    """Estimate of the model's memory on the device.

    Attributes:
        mapped_weights: weights that every token reads, memory-mapped.
        mapped_embeddings: embedding tables, memory-mapped: of these a token touches a few pages only.
        kv_cache: at full context.
        images: null where the model takes none.
    """

    mapped_weights: Bytes
    mapped_embeddings: Bytes
    kv_cache: Bytes
    images: ImageMemory | None = None


class Rung(_Strict):
    """One rung of the ladder: ``pass``, or ``not run: <why>``. A bundle with a ``fail`` is never published."""

    rung: str
    question: str
    verdict: Annotated[str, Field(pattern="^(pass|not run: .+)$")]


class Evaluation(_Strict):
    """The questions that rung 4 asked: name and SHA-256 of their file, and how many of them."""

    name: str
    sha256: Sha256
    questions: Count


class Parity(_Strict):
    """What ``parity.json`` says, bound to the model file by its SHA-256."""

    artifact_sha256: Sha256
    rungs: list[Rung]
    evaluation: Annotated[Evaluation | None, Field(description="null when rung 4 did not run")] = None


class Runtime(_Strict):
    """The oldest runtime that is asked for: of LiteRT-LM the version that judged the bundle, for no other one was run;
    of Core ML the one that has the file's specification, on which nothing was run: parity.json says what was.

    ``packed_weights`` is the length of the files that it writes when it first loads the model on a CPU, and maps from
    then on: the weights as its kernels read them. 0: it writes none.
    """

    name: str
    minimum: str
    packed_weights: Annotated[int | None, Field(ge=0, description="bytes; null in older bundles")] = None


class Licence(_Strict):
    """SPDX expression of the weights' licence, and who stated it."""

    spdx: str
    stated_by: Literal["publisher", "project", "nobody"]


class Drafter(_Strict):
    """The drafter in the model file: it guesses ``drafts`` tokens at a time, and the model verifies them at once.

    What comes out is what the model alone says when it takes the best token each time. ``section`` and ``signature``
    are the drafter's own, ``verify`` is the model's.
    """

    source: Source
    section: str
    signature: str
    verify: str
    drafts: Annotated[int, Field(gt=0, description="tokens")]


class Apk(_Strict):
    """Whether ``app.apk`` is in the bundle, or why not, and the SHA-256 of the archive before it was signed."""

    status: Annotated[str, Field(pattern="^(built|not built: .+)$")]
    unsigned_sha256: Sha256 | None


class Manifest(_Strict):
    """The whole manifest. ``self_sha256`` finds a changed byte of this file, ``files`` one of any other."""

    schema_version: Literal[1]
    name: str
    platform: str
    model: str
    modalities: Annotated[
        tuple[Literal["text", "image"], ...], Field(description="what the model takes in; images: see feeding.images")
    ] = ("text",)
    source: Source
    quantization: list[Weights]
    signatures: list[Signature]
    kv_cache: Cache
    feeding: Feeding
    files: dict[str, File]
    toolchain: dict[str, str]
    runtime: Runtime
    memory: Memory
    parity: Parity
    licence: Licence
    drafter: Annotated[Drafter | None, Field(description="null where the model file holds none")] = None
    apk: Annotated[Apk | None, Field(description="null without a sample app, and inside the app itself")] = None
    self_sha256: Annotated[Sha256, Field(description="of this file's bytes, with these 64 digits as zeros")] = ZEROS


def to_json(manifest: Manifest) -> str:
    """Deterministic text: sorted keys, two spaces, a newline at the end; ``self_sha256`` is worked out here."""
    fields = manifest.model_dump(mode="json") | {"self_sha256": ZEROS}
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # A quote inside a string is escaped, so no name or version can look like this key.
    blank = f'"self_sha256": "{ZEROS}"'
    return text.replace(blank, blank.replace(ZEROS, hashlib.sha256(text.encode("utf-8")).hexdigest()))


def read(bundle: Path) -> Manifest:
    """The manifest of a bundle folder.

    Raises:
        ArtifactError: it is missing, no JSON, or does not fit the schema; names the first field that does not.
    """
    path = bundle / "manifest.json"
    asked = f"read {bundle.name}/manifest.json"
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise ArtifactError(asked, "it is not a regular file", "Give the folder of a bundle")
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(asked, f"cannot be read ({error.strerror})", "Give the folder of a bundle") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ArtifactError(asked, f"{field}: {first['msg']}", "Build the bundle again") from error


def schema_json() -> str:
    """The JSON Schema as it has to be committed."""
    schema = Manifest.model_json_schema(mode="serialization")  # what is written: nothing is left out
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_json(), encoding="utf-8")
