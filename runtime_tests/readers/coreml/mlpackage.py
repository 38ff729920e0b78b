"""Strict reader of an ``.mlpackage``: manifest, model specification, program, weights.

Layout: ``Manifest.json`` lists items by id, each with a path below ``Data``; ``rootModelIdentifier`` names the
specification, a protobuf ``Model`` (coremltools, ``mlmodel/format/Model.proto``) whose program refers to
``@model_path/weights/weight.bin``, where ``@model_path`` is the specification's folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.readers.coreml.blobs import Blob, BlobFile
from runtime_tests.readers.coreml.program import Function, Parser, Type
from runtime_tests.readers.regular import file_sha256, listing_sha256, read_regular

MAX_SPECIFICATION = 1 << 30
_HERE = "@model_path/"
_PROTO = "coremltools_proto"


@dataclass(frozen=True)
class MlPackage:
    """An opened package.

    Attributes:
        path: its folder.
        specification: the protobuf ``Model`` message.
        functions: by name.
        weights: opened weights files by their path in the package.
        parts: the packages that this one was linked of (``parts.py``), itself the first; empty for a single one.
        beside: packages of the same model that are called by themselves.
    """

    path: Path
    specification: Any
    functions: dict[str, Function]
    weights: dict[str, BlobFile]
    parts: tuple[MlPackage, ...] = ()
    beside: tuple[MlPackage, ...] = ()

    @property
    def metadata(self) -> dict[str, str]:
        """What the writer says about the package, by key."""
        return dict(self.specification.description.metadata.userDefined)

    @cached_property
    def files(self) -> list[str]:
        """All files of the package, its further parts and those beside it, by relative path, sorted."""
        own = [file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file()]
        others = (*self.parts[1:], *self.beside)
        return sorted([*own, *(f"../{part.path.name}/{name}" for part in others for name in part.files)])

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.path / name).stat().st_size for name in self.files)

    def sha256(self) -> str:
        """SHA-256 over the lines ``<sha256>  <path>`` of all files in order of their paths, as ``sha256sum`` prints."""
        return listing_sha256({name: file_sha256(self.path / name) for name in self.files})


def open_mlpackage(path: Path) -> MlPackage:
    """Opens a package; weights stay on the disk.

    Raises:
        InputError: not a package, damaged, or no ML Program.
        CannotRunError: coremltools, which holds the format's protobuf messages, is not installed.
    """
    specification_path = _root(path)
    where = f"{path.name}/{specification_path.name}"
    messages, mil = (proto(name) for name in ("Model_pb2", "MIL_pb2"))
    model = messages.Model()
    try:
        if specification_path.stat().st_size > MAX_SPECIFICATION:
            raise InputError(f"{where}: {specification_path.stat().st_size} bytes, expected at most 1 GiB")
        model.ParseFromString(read_regular(specification_path))
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise InputError(f"{where}: no protobuf message Model ({error})") from error
    if model.WhichOneof("Type") != "mlProgram":
        raise InputError(f"{where}: holds {model.WhichOneof('Type')}, expected mlProgram")
    weights: dict[str, BlobFile] = {}

    def blob(name: str, offset: int, type: Type) -> Blob:
        if name not in weights:
            file = specification_path.parent / name.removeprefix(_HERE)
            if not name.startswith(_HERE) or not file.resolve().is_relative_to(path.resolve()):
                raise InputError(f"{where}: refers to {name[:80]!r}, which lies outside the package")
            weights[name] = BlobFile(file, f"{path.name}/{file.name}")
        return weights[name].record(offset, type.dtype, type.shape)

    functions = {item.name: item for item in Parser(mil.DataType, blob, where).functions(model.mlProgram)}
    if not functions:
        raise InputError(f"{where}: a program without functions")
    return MlPackage(path, model, functions, weights)


def _root(path: Path) -> Path:
    """The specification's file, from the manifest."""
    where = f"{path.name}/Manifest.json"
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; an .mlpackage is one")
    try:
        manifest = json.loads(read_regular(path / "Manifest.json").decode("utf-8"))
        entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        file = path / "Data" / str(entry["path"])
    except FileNotFoundError as error:
        raise InputError(f"{path.name}: no Manifest.json; it is no .mlpackage") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: cannot be read ({error!r})") from error
    if not file.resolve().is_relative_to((path / "Data").resolve()):
        raise InputError(f"{where}: the model lies outside the package")
    if not file.is_file():
        raise InputError(f"{where}: names {entry['path']}, which is not there")
    return file


def proto(name: str) -> Any:
    """A module of protobuf messages of coremltools, without importing coremltools itself.

    Its own ``__init__`` imports every converter, which takes seconds and prints warnings that do not concern a reader.
    """
    found = importlib.util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        raise CannotRunError("coremltools is not installed (extra `ios`): its protobuf messages describe the format")
    folder = Path(found.submodule_search_locations[0]) / "proto"
    if _PROTO not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            _PROTO, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[_PROTO] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{_PROTO}.{name}")
