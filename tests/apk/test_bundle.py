"""What a bundle brings to try it out: the project with its files, the APK or the reason why not, all of it listed."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from convert import pipeline
from convert.apk import archive, resources, toolchain
from convert.apk.pieces import ApkUnavailableError
from convert.bundle import manifest
from convert.bundle.platforms.android import sample
from convert.bundle.platforms.android.project import PROJECT as SAMPLE
from convert.errors import PlanError
from convert.plan import Request
from convert.progress import Silent
from runtime_tests.readers.bundle import check
from tests.support import quick_build
from tests.support.android import apk_tools
from tests.support.commands import QUICK, REPOSITORY, convert, digests

PROJECT = ("settings.gradle.kts", "app/src/main/AndroidManifest.xml", "core/build.gradle.kts", "README.md")


@pytest.fixture(autouse=True)
def _real_judge_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "judge", pipeline.judge)


@pytest.fixture
def _nothing_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))

    def offline(wanted: object, folder: object) -> None:
        raise ApkUnavailableError("apt-get update failed: no network")

    monkeypatch.setattr(toolchain.toolchain, "__defaults__", (None, None, dict.fromkeys(toolchain.FETCH, offline)))


def test_the_project_holds_the_bundles_own_papers(tmp_path: Path) -> None:
    built = quick_build.build(tmp_path)
    bundle, app = built.bundle, built.bundle / "app"
    assert all((app / name).is_file() for name in PROJECT)
    for name in ("golden.json", "model.litertlm"):
        assert (app / SAMPLE.assets / name).read_bytes() == (bundle / name).read_bytes()
    inner = json.loads((app / SAMPLE.assets / "manifest.json").read_text())
    outer = json.loads((bundle / "manifest.json").read_text())
    assert inner["apk"] is None
    assert {name for name in outer["files"] if name not in inner["files"]} == {
        f"app/{path.relative_to(app).as_posix()}" for path in app.rglob("*") if path.is_file()
    }
    assert {**outer, "files": inner["files"], "apk": None, "self_sha256": ""} == {**inner, "self_sha256": ""}
    check(bundle)
    assert built.packed == "apk: not built: --apk skip"
    assert manifest.read(bundle).apk == manifest.Apk(status="not built: --apk skip", unsigned_sha256=None)


def test_what_a_work_copy_collects_is_not_copied(tmp_path: Path) -> None:
    kept = {"settings.gradle.kts", "app/src/main/res/values/strings.xml", "gradle/libs.versions.toml"}
    litter = {
        ".gradle/x.xml",
        "app/build/R.kt",
        "local.properties",
        ".idea/a.xml",
        "signing/key.md",
        "a.so",
        "core/x.jar",
    }
    for name in kept | litter:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {path.as_posix() for path in SAMPLE.sources(tmp_path)} == kept


@pytest.mark.usefixtures("_nothing_to_be_had")
def test_offline_the_bundle_says_why_there_is_no_apk_and_succeeds(tmp_path: Path) -> None:
    built = quick_build.build(tmp_path / "dist", apk="auto")
    assert built.packed is not None
    assert built.packed.startswith("apk: not built: ")
    assert not (built.bundle / "app.apk").exists()
    assert (built.bundle / "app" / "settings.gradle.kts").is_file()
    check(built.bundle)


@pytest.mark.usefixtures("_nothing_to_be_had")
def test_offline_a_required_apk_fails_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(ApkUnavailableError, match=r"build app\.apk: "):
        quick_build.build(tmp_path / "dist", apk="require")
    assert not (tmp_path / "dist").exists()


def test_required_without_java_is_exit_code_2_and_no_output(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    arguments = ("bundle", "android", "demo", "--out", tmp_path / "dist", *QUICK, "--apk", "require")
    ran = convert(*arguments, PATH=str(tmp_path / "bin"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith("error: build app.apk: ")
    if sys.platform == "linux":
        assert "java (17 or later) is needed and was not found on PATH" in ran.err
    assert not (tmp_path / "dist").exists()


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    ran = convert("bundle", "android", "demo", "--out", tmp_path / "dist", "--apk", "maybe")
    assert ran.code == 2
    assert "there is no --apk 'maybe'. Use --apk auto, require or skip" in ran.err


def test_an_iphone_has_no_apk_to_require(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="--apk was given, which ios does not have"):
        pipeline.build(Request("ios", "demo", tmp_path, flags={"apk": "require"}), Silent())


def test_without_the_samples_sources_there_is_a_bundle_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "PROJECT", replace(SAMPLE, root=tmp_path / "nowhere"))
    built = quick_build.build(tmp_path / "dist", apk="auto")
    assert built.packed == "apk: not built: the sample's sources are not installed here"
    assert not (built.bundle / "app").exists()


def test_sources_that_do_not_compile_are_no_bundle_where_an_apk_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a reason in the bundle where it is not."""

    def refuse(*arguments: object) -> None:
        raise toolchain.ToolError("build app.apk", "kotlinc says:\n  error: no", "Report this as a defect")

    monkeypatch.setattr(sample.build, "build", refuse)
    monkeypatch.setattr(sample, "tools", lambda choice, progress: toolchain.Toolchain(tmp_path))
    with pytest.raises(toolchain.ToolError):
        quick_build.build(tmp_path / "dist", apk="require")
    assert not (tmp_path / "dist").exists()
    assert quick_build.build(tmp_path / "dist", apk="auto").packed == "apk: not built: kotlinc says: error: no"


@pytest.mark.slow
def test_a_bundle_with_an_apk_is_whole_and_carries_its_own_files(tmp_path: Path) -> None:
    apk_tools.tools()
    built = quick_build.build(tmp_path, apk="require")
    assert built.packed == "apk: built"
    assert [path.name for path in (tmp_path / "android").iterdir()] == ["demo"]
    check(built.bundle)
    with zipfile.ZipFile(built.bundle / "app.apk") as apk:
        for name in ("manifest.json", "golden.json", "model.litertlm"):
            inside = apk.read(f"assets/model/{name}")
            assert inside == (built.bundle / "app" / SAMPLE.assets / name).read_bytes()
    made = manifest.read(built.bundle)
    assert made.apk is not None
    assert made.apk.unsigned_sha256 != made.files["app.apk"].sha256 == digests(built.bundle)["app.apk"]


def test_a_large_model_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LARGEST_PACKED", 1000)
    bundle = quick_build.build(tmp_path).bundle
    assert {path.name for path in (bundle / "app" / SAMPLE.assets).iterdir()} == {"manifest.json", "golden.json"}


def test_any_reader_of_archives_reads_what_is_written(tmp_path: Path) -> None:
    files = {"b/x.so": b"library" * 9000, "a.txt": b"text", "z": b""}
    archive.write(files, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as made:
        assert made.testzip() is None
        assert {name: made.read(name) for name in made.namelist()} == files
    assert apk_tools.entries(tmp_path / "a.zip")["b/x.so"].offset % 16384 == 0


def test_names_that_some_disks_take_for_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ by case alone"):
        archive.write({"a": b"", "A": b""}, tmp_path / "a.zip")


def test_resource_numbers_become_kotlin() -> None:
    text = resources.numbers("int id send 0x7f010000\nint[] styleable Odd { 0x1 }\nint string ok 0x7f020001\n", "x.y")
    assert "package x.y\n" in text
    assert "object id {\n        const val send = 2130771968\n    }" in text
    assert "Odd" not in text


def test_the_key_is_called_what_it_is() -> None:
    folder = REPOSITORY / "mobile_samples" / "android" / "signing"
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "anyone-has-this-key.pem",
        "anyone-has-this-key.crt",
    }


def test_a_checkout_finds_its_sample() -> None:
    assert SAMPLE.root == REPOSITORY / "mobile_samples" / "android"
    assert shutil.which("git") is None or SAMPLE.sources()
