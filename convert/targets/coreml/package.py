"""An ``.mlpackage``: a folder with the model's description and program, the weights, and a list of both.

Layout: ``Manifest.json`` (as coremltools' ``ModelPackage`` writes it), ``Data/com.apple.CoreML/model.mlmodel``,
``Data/com.apple.CoreML/weights/weight.bin``. Identifiers, elsewhere random, are made of the content's digest here, so
that the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convert.model.signature import Signature, Tensor
from convert.targets.coreml import proto
from convert.targets.coreml.graph import Program

SPECIFICATION = 9  # iOS 18
VISION = "Vision.mlpackage"  # beside the decoder's, where images are converted
_AUTHOR = "com.apple.CoreML"
MODEL, WEIGHTS = f"{_AUTHOR}/model.mlmodel", f"{_AUTHOR}/weights"


def write(
    folder: Path,
    program: Program,
    entries: tuple[Signature, ...],
    about: str,
    metadata: Mapping[str, str],
    advance: Callable[[int], None],
) -> None:
    """Writes the package into a new folder.

    Args:
        about: the model in a sentence.
        metadata: user-defined pairs; ``version`` and ``license`` go into fields of their own.
        advance: called with the number of weight bytes written.
    """
    content = _model(program, entries, about, metadata).SerializeToString(deterministic=True)
    data = folder / "Data"
    (data / WEIGHTS).mkdir(parents=True)
    with (data / WEIGHTS / "weight.bin").open("wb") as file:
        program.storage.write(file, advance)
    (data / MODEL).write_bytes(content)
    (folder / "Manifest.json").write_text(_manifest(content), encoding="utf-8")


def _manifest(content: bytes) -> str:
    def identifier(path: str) -> str:
        return str(uuid.UUID(bytes=hashlib.sha256(path.encode() + b"\0" + content).digest()[:16], version=4))

    def item(name: str, path: str, what: str) -> dict[str, str]:
        return {"author": _AUTHOR, "description": what, "name": name, "path": path}

    items = {
        identifier(MODEL): item("model.mlmodel", MODEL, "CoreML Model Specification"),
        identifier(WEIGHTS): item("weights", WEIGHTS, "CoreML Model Weights"),
    }
    made = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": identifier(MODEL)}
    return json.dumps(made, indent=4, sort_keys=True) + "\n"


def _model(program: Program, entries: tuple[Signature, ...], about: str, metadata: Mapping[str, str]) -> Any:
    model = proto.model().Model(specificationVersion=SPECIFICATION)
    description = model.description
    description.defaultFunctionName = entries[-1].name
    description.metadata.shortDescription = about
    description.metadata.author = "gemma-bridge"
    description.metadata.versionString = metadata["version"]
    description.metadata.license = metadata["license"]
    for key in sorted(metadata.keys() - {"version", "license"}):
        description.metadata.userDefined[key] = metadata[key]
    for entry in entries:
        function = description.functions.add(name=entry.name)
        for features, into in ((entry.inputs, function.input), (entry.outputs, function.output)):
            for feature in features:
                _array(into.add(), feature, lambda made: made.type.multiArrayType)
        for feature in entry.states:
            _array(function.state.add(), feature, lambda made: made.type.stateType.arrayType)
    model.mlProgram.CopyFrom(program.message())
    return model


def _array(made: Any, feature: Tensor, of: Callable[[Any], Any]) -> None:
    made.name, made.shortDescription = feature.name, feature.meaning
    array = of(made)
    array.shape.extend(feature.shape)
    array.dataType = proto.features().ArrayFeatureType.ArrayDataType.Value(feature.dtype.upper())
