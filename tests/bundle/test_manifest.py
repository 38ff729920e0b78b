"""The manifest: complete, strict, and the same bytes wherever it is made."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from convert import demo, pipeline
from convert.bundle import manifest, notice
from convert.checkpoint import open_checkpoint
from convert.checkpoint.types import Source
from convert.errors import ArtifactError
from convert.targets.litert import TARGET
from tests.support import quick_build
from tests.support.commands import REPOSITORY


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    judge = pipeline.judge
    try:
        return quick_build.build(tmp_path_factory.mktemp("manifest")).bundle
    finally:
        pipeline.judge = judge


@pytest.fixture(scope="module")
def made(bundle: Path) -> manifest.Manifest:
    return manifest.read(bundle)


def test_the_committed_schema_is_current() -> None:
    """``python -m convert.bundle.manifest`` writes it."""
    assert manifest.SCHEMA.read_text("utf-8") == manifest.schema_json()


def test_every_other_file_of_the_bundle_is_listed_by_its_hash(bundle: Path, made: manifest.Manifest) -> None:
    found = [path for path in bundle.rglob("*") if path.is_file()]
    names = {path.relative_to(bundle).as_posix() for path in found} - {"manifest.json"}
    assert names == set(made.files)
    for name, entry in made.files.items():
        content = (bundle / name).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_every_input_file_is_listed_by_its_hash(made: manifest.Manifest) -> None:
    used = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert used <= set(made.source.files)
    for name, entry in made.source.files.items():
        assert entry.sha256 == hashlib.sha256((demo.folder() / name).read_bytes()).hexdigest()


def test_the_parity_report_is_bound_to_the_model(made: manifest.Manifest) -> None:
    assert made.parity.artifact_sha256 == made.files["model.litertlm"].sha256


def test_the_cache_layout_names_owners_and_readers(made: manifest.Manifest) -> None:
    config = open_checkpoint("demo").text.config
    cache = made.kv_cache
    assert [config.layers[i].owns_kv for i in cache.owners] == [True] * 5
    assert cache.readers == {layer.index: layer.owner for layer in config.layers if not layer.owns_kv}
    assert len(cache.owners) + len(cache.readers) == len(config.layers)
    assert (cache.context, cache.window, cache.dtype) == (96, config.window, "float32")


def test_memory_is_stated_from_the_files_sections(bundle: Path, made: manifest.Manifest) -> None:
    assert 0 < made.memory.mapped_weights + made.memory.mapped_embeddings < made.files["model.litertlm"].bytes
    assert made.memory.kv_cache == made.kv_cache.bytes


def test_the_text_is_sorted_and_holds_no_path_and_no_clock(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text("utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert str(bundle.parent) not in text
    assert str(REPOSITORY) not in text
    assert re.search(r"20\d\d-\d\d|\d\d:\d\d", text) is None


def test_toolchain_versions_are_the_pinned_ones(made: manifest.Manifest) -> None:
    pins = dict(line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line)
    assert {name: pins[name] for name in TARGET.toolchain} == {name: made.toolchain[name] for name in TARGET.toolchain}
    assert made.runtime.minimum == pins["litert-lm-api"]


def test_every_dependency_is_pinned_exactly_and_no_index_is_named() -> None:
    text = (REPOSITORY / "constraints.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    named = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    own = {f"{project['name']}[{extra}]" for extra in project["optional-dependencies"]}  # an extra within another
    assert set(wanted) - own <= named


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"name": None}, "name: Input should be a valid string"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_by_its_field(
    bundle: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    changed = json.loads((bundle / "manifest.json").read_text()) | change
    (tmp_path / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(ArtifactError, match=words):
        manifest.read(tmp_path)


def test_a_failed_rung_cannot_be_written_down_as_a_bundle() -> None:
    with pytest.raises(ValueError, match="verdict"):
        manifest.Rung(rung="0", question="equal?", verdict="fail")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Give the folder of a bundle"):
        manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("source", "spdx", "words"),
    [
        ("demo", "Apache-2.0", "trained from nothing"),
        ("google/gemma-4-E2B-it-qat-mobile-transformers", "Apache-2.0", "a model of Google LLC"),
        ("tuned", "NOASSERTION", "Look before you distribute"),
    ],
)
def test_the_notice_says_what_is_known_of_the_licence(source: str, spdx: str, words: str, tmp_path: Path) -> None:
    notice.write([Source(source, None, {})], tmp_path, "a LiteRT-LM file")
    assert notice.licence(Source(source, None, {})).spdx == spdx
    assert words in (tmp_path / "NOTICE").read_text()
    assert "It was changed in form" in (tmp_path / "NOTICE").read_text()
    assert (tmp_path / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
