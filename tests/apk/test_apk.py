"""app.apk: what Android asks of it, looked at in the finished file by Android's own tools and by reading it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from convert.apk import elf, native, resources, sign
from convert.apk.toolchain import Toolchain
from tests.support.android import apk_tools
from tests.support.commands import REPOSITORY

ANDROID = REPOSITORY / "mobile_samples" / "android"
LIBRARIES = {"lib/arm64-v8a/libgemmabridge.so", "lib/arm64-v8a/liblitert-lm.so"}


@pytest.fixture(scope="module")
def tools() -> Toolchain:
    return apk_tools.tools()


@pytest.fixture(scope="module")
def apk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apk_tools.built(tmp_path_factory)


@pytest.fixture(scope="module")
def entries(apk: Path) -> dict[str, apk_tools.Entry]:
    return apk_tools.entries(apk)


@pytest.fixture(scope="module")
def shim(entries: dict[str, apk_tools.Entry], tmp_path_factory: pytest.TempPathFactory) -> elf.Library:
    path = tmp_path_factory.mktemp("shim") / native.SHIM
    path.write_bytes(entries[f"lib/arm64-v8a/{native.SHIM}"].data)
    return elf.read(path)


@pytest.fixture(scope="module")
def engine(tools: Toolchain) -> elf.Library:
    return elf.read(tools.engine("arm64-v8a"))


def aapt2(tools: Toolchain, apk: Path, *words: str) -> str:
    return tools.run([tools.aapt2, "dump", *words, str(apk)], apk.parent)


def external_functions() -> set[str]:
    """The names that JNI looks for, from the Kotlin sources."""
    found = set()
    for path in sorted((ANDROID / "engine-jni" / "src" / "main" / "kotlin").rglob("*.kt")):
        text = path.read_text("utf-8")
        package = re.search(r"^package (\S+)", text, re.MULTILINE)
        assert package
        for function in re.findall(r"external fun (\w+)", text):
            assert "_" not in path.stem + function  # would be escaped
            found.add(f"Java_{package[1].replace('.', '_')}_{path.stem}_{function}")
    return found


@pytest.mark.slow
def test_android_takes_its_signatures_of_scheme_2_and_3(tools: Toolchain, apk: Path) -> None:
    said = sign.apksigner(tools, ["verify", "--verbose", "--print-certs", str(apk)], apk.parent)
    assert "v2 scheme (APK Signature Scheme v2): true" in said
    assert "v3 scheme (APK Signature Scheme v3): true" in said
    assert "anyone has this key" in said


@pytest.mark.slow
def test_one_flipped_bit_is_refused_by_androids_verifier(tools: Toolchain, apk: Path, tmp_path: Path) -> None:
    from convert.apk.toolchain import ToolError

    data = bytearray(apk.read_bytes())
    data[len(data) // 2] ^= 1
    bad = tmp_path / "bad.apk"
    bad.write_bytes(data)
    with pytest.raises(ToolError, match="DOES NOT VERIFY"):
        sign.apksigner(tools, ["verify", str(bad)], tmp_path)


@pytest.mark.slow
def test_badging_says_what_it_is_and_where_it_runs(tools: Toolchain, apk: Path) -> None:
    said = aapt2(tools, apk, "badging")
    assert f"package: name='{resources.PACKAGE}' versionCode='1' versionName='1.0'" in said
    assert "sdkVersion:'26'\ntargetSdkVersion:'36'" in said
    assert "native-code: 'arm64-v8a'\n" in said
    assert "launchable-activity: name='dev.gemmabridge.sample.MainActivity'" in said
    assert "application-debuggable" not in said
    assert re.findall(r"uses-permission: name='(.*)'", said) == ["android.permission.INTERNET"]


@pytest.mark.slow
def test_the_manifest_asks_for_the_gpus_libraries_without_needing_them(tools: Toolchain, apk: Path) -> None:
    said = aapt2(tools, apk, "xmltree", "--file", "AndroidManifest.xml")
    blocks = re.findall(r"E: uses-native-library.*?\n((?:\s+A: .*\n)+)", said)
    assert [re.search(r'"(lib\w+\.so)"', block)[1] for block in blocks] == ["libOpenCL.so", "libvndksupport.so"]  # type: ignore[index]
    assert all("required(0x0101028e)=false" in block for block in blocks)
    assert "extractNativeLibs(0x010104ea)=false" in said


@pytest.mark.slow
def test_libraries_are_stored_at_offsets_of_16_kilobytes_and_the_rest_at_words(
    entries: dict[str, apk_tools.Entry],
) -> None:
    assert {name for name in entries if name.startswith("lib/")} == LIBRARIES
    for name, entry in entries.items():
        assert entry.stored, name
        assert entry.offset % (16384 if name.endswith(".so") else 4) == 0, name


@pytest.mark.slow
def test_entries_are_sorted_and_without_times(apk: Path) -> None:
    with zipfile.ZipFile(apk) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.slow
def test_libraries_can_be_mapped_with_pages_of_16_kilobytes(shim: elf.Library, engine: elf.Library) -> None:
    for library in (shim, engine):
        assert library.abi == "arm64-v8a"
        assert all(alignment % 16384 == 0 for alignment in library.alignments), library.soname


@pytest.mark.slow
def test_every_function_that_kotlin_calls_is_in_the_shim_and_no_other(shim: elf.Library) -> None:
    names = external_functions()
    assert len(names) >= 10
    assert shim.exports == names


@pytest.mark.slow
def test_every_function_that_the_shim_calls_is_in_the_engine_or_in_libc(shim: elf.Library, engine: elf.Library) -> None:
    assert shim.imports - engine.exports <= native.LIBC
    assert {name for name in shim.imports if name.startswith("litert_lm")} <= engine.exports
    assert set(shim.needed) == {"liblitert-lm.so", "libc.so"}


@pytest.mark.slow
def test_it_installs_nowhere_that_the_engine_does_not_run(engine: elf.Library) -> None:
    assert engine.api_level is not None
    assert engine.api_level <= resources.MIN_SDK


@pytest.mark.slow
def test_the_classes_that_are_named_from_outside_are_in_it(entries: dict[str, apk_tools.Entry]) -> None:
    dex = entries["classes.dex"].data
    assert dex.startswith(b"dex\n038\0")  # Android 8 reads it
    manifest = (ANDROID / "app" / "src" / "main" / "AndroidManifest.xml").read_text("utf-8")
    named = [f"dev/gemmabridge/sample/{name}" for name in re.findall(r'android:name="\.(\w+)"', manifest)]
    assert len(named) == 3
    for path in sorted((ANDROID / "engine-jni" / "src" / "main" / "c").glob("*.c")):
        text = path.read_text("utf-8")
        named += re.findall(r'FindClass\(env, "([^"]+)"\)', text)
        methods = re.findall(r'GetMethodID\([^"]*"(\w+)", "([^"]+)"\)', text)
        assert all(method.encode() in dex for method, _ in methods)
    assert all(f"L{name};".encode() in dex for name in named)


@pytest.mark.slow
def test_the_bundles_files_are_in_it_as_they_are(entries: dict[str, apk_tools.Entry]) -> None:
    for name, content in apk_tools.ASSETS.items():
        assert entries[f"assets/model/{name}"].data == content


@pytest.mark.slow
def test_two_clones_make_the_same_bytes(apk: Path, tmp_path: Path) -> None:
    """The other clone lies in another folder, with a space in its path."""
    root = apk_tools.clone(tmp_path / "another clone")
    other, (signed, unsigned) = apk_tools.build(root, tmp_path / "elsewhere")
    assert signed == apk_tools.sha256(other) == apk_tools.sha256(apk)
    assert unsigned != signed


@pytest.mark.slow
def test_no_path_of_the_builder_is_in_it(entries: dict[str, apk_tools.Entry], tools: Toolchain) -> None:
    for name, entry in entries.items():
        if name != "lib/arm64-v8a/liblitert-lm.so":
            assert str(REPOSITORY).encode() not in entry.data, name
            assert str(tools.root).encode() not in entry.data, name


@pytest.mark.slow
def test_the_shim_compiles_for_emulators_too(tools: Toolchain, tmp_path: Path) -> None:
    sources = ANDROID / "engine-jni" / "src" / "main" / "c"
    made = native.compile_shim(tools, sources, "x86_64", resources.MIN_SDK, tmp_path / native.SHIM, tmp_path)
    assert made.abi == "x86_64"
    assert made.exports == external_functions()


@pytest.mark.slow
def test_a_shim_that_asks_for_what_no_phone_has_is_refused(tools: Toolchain, tmp_path: Path) -> None:
    from convert.apk.toolchain import ToolError

    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "odd.c").write_text("int litert_lm_no_such(void); int f(void) { return litert_lm_no_such(); }\n")
    with pytest.raises(ToolError, match="the shim asks for litert_lm_no_such, which no library has"):
        native.compile_shim(tools, tmp_path / "c", "arm64-v8a", 26, tmp_path / "out.so", tmp_path)
