"""One manifest.json, read by the converter and by the samples in Kotlin and Swift: all understand the same.

A field with another name breaks all of them: none goes on with what it has not read.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from convert.bundle import manifest as converter
from tests.support.android import kotlin_tools
from tests.support.ios import swift_tools

GOLDEN = Path(__file__).with_name("manifest.json")
# Fields that all of them read, by their place.
FIELDS = (
    "schema_version", "name", "platform", "model", "files", "signatures", "kv_cache", "feeding", "runtime", "memory",
    "parity", "licence", "source", "self_sha256", "kv_cache.context", "feeding.tokens", "feeding.sampler",
    "feeding.tokens.start", "feeding.tokens.pad", "feeding.tokens.stops", "feeding.tokens.roles",
    "feeding.tokens.start.id", "feeding.tokens.stops.0.id", "feeding.sampler.sample", "memory.mapped_weights",
    "memory.mapped_embeddings", "memory.kv_cache", "runtime.name", "runtime.minimum", "parity.artifact_sha256",
    "parity.rungs", "parity.rungs.0.rung", "parity.rungs.0.verdict", "licence.spdx", "source.id",
    "files.golden.json.bytes", "files.golden.json.sha256", "runtime.packed_weights", "drafter",
)  # fmt: skip
Read = Callable[[Path], dict[str, Any]]


def sealed(manifest: dict[str, Any], path: Path) -> Path:
    """Writes a manifest that says its own digest."""
    if "self_sha256" in manifest:
        manifest["self_sha256"] = "0" * 64
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()), "utf-8")
    return path


def renamed(field: str, path: Path) -> Path:
    manifest = json.loads(GOLDEN.read_text("utf-8"))
    keys = field.replace("golden.json", "golden~json").split(".")
    inner = manifest
    for key in keys[:-1]:
        inner = inner[int(key)] if key.isdigit() else inner[key.replace("~", ".")]
    inner[f"{keys[-1]}s"] = inner.pop(keys[-1])
    return sealed(manifest, path)


@pytest.fixture(scope="module")
def kotlin() -> Iterator[Read]:
    command = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", kotlin_tools.compiled()]
    with subprocess.Popen(
        [*command, "dev.gemmabridge.test.ManifestDriverKt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def read(path: Path) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            found: dict[str, Any] = json.loads(process.stdout.readline())
            return found

        yield read
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def swift() -> Read:
    driver = swift_tools.driver()
    return lambda path: driver.tell("manifest", file=str(path), platform="android")


def known() -> dict[str, Any]:
    said = converter.Manifest.model_validate_json(GOLDEN.read_bytes())
    return {
        "name": said.name, "model": said.model, "context": said.kv_cache.context, "runtime": said.runtime.name,
        "stops": [stop.id for stop in said.feeding.tokens.stops], "start": said.feeding.tokens.start.id,
        "kv_cache": said.memory.kv_cache, "sha256": said.parity.artifact_sha256, "files": len(said.files),
        "packed_weights": said.runtime.packed_weights, "drafter": said.drafter is not None,
    }  # fmt: skip


def test_kotlin_understands_what_the_converter_wrote(kotlin: Read) -> None:
    assert kotlin(GOLDEN) == known()


def test_swift_understands_what_the_converter_wrote(swift: Read) -> None:
    assert {key: value for key, value in swift(GOLDEN).items() if key != "parts"} == known()


@pytest.mark.parametrize("field", FIELDS)
def test_python_refuses_a_field_of_another_name(field: str, tmp_path: Path) -> None:
    path = renamed(field, tmp_path / "manifest.json")
    with pytest.raises(ValidationError):
        converter.Manifest.model_validate_json(path.read_bytes())


@pytest.mark.parametrize("field", FIELDS)
def test_kotlin_refuses_a_field_of_another_name(field: str, tmp_path: Path, kotlin: Read) -> None:
    found = kotlin(renamed(field, tmp_path / "manifest.json"))
    assert "error" in found, found


@pytest.mark.parametrize("field", FIELDS)
def test_swift_refuses_a_field_of_another_name(field: str, tmp_path: Path, swift: Read) -> None:
    assert swift(renamed(field, tmp_path / "manifest.json")).get("type") == "Refused"
