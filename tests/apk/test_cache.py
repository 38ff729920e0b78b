"""The tools of the APK: fetched by their digests or not at all, found out when tampered with, absent with a reason."""

from __future__ import annotations

import io
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from convert.apk import pieces, toolchain
from convert.apk.pieces import ApkUnavailableError
from convert.progress import Silent
from runtime_tests.pinned.fetch import Fetch
from runtime_tests.pinned.pieces import Piece, digest

JARS = ("kotlin-compiler.jar", "kotlin-stdlib.jar")


def npm_package(path: Path, *members: str) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            data = member.encode()
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What the package managers would bring: a package of npm and a wheel."""
    folder = tmp_path / "store"
    folder.mkdir()
    npm_package(folder / "compiler.tgz", *(f"package/lib/{jar}" for jar in JARS), "package/README.md")
    with zipfile.ZipFile(folder / "engine.whl", "w") as wheel:
        wheel.writestr("litert_lm/liblitert-lm.so", b"an engine")
        wheel.writestr("../outside", b"no")
    return folder


@pytest.fixture
def wanted(store: Path) -> list[Piece]:
    npm = Piece("npm", "compiler", "1.0", digest(store / "compiler.tgz", "sha512"), algorithm="sha512")
    wheel = Piece("wheels", "engine", "2.0", digest(store / "engine.whl"), "android_23_arm64_v8a")
    return [npm, wheel]


def copying(store: Path) -> dict[str, Fetch]:
    def fetcher(pattern: str) -> Fetch:
        def bring(wanted: Sequence[Piece], folder: Path) -> None:
            for path in store.glob(pattern):
                shutil.copy(path, folder)

        return bring

    return {"npm": fetcher("*.tgz"), "wheels": fetcher("*.whl")}


@pytest.fixture(autouse=True)
def _a_machine_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")


def fill(cache: Path, wanted: list[Piece], store: Path) -> toolchain.Toolchain:
    return toolchain.toolchain(Silent(), cache, wanted, copying(store))


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_cache_holds_what_is_used_and_nothing_else(tmp_path: Path, wanted: list[Piece], store: Path) -> None:
    root = fill(tmp_path / "cache", wanted, store).root
    assert names(root) == {*(f"npm/lib/{jar}" for jar in JARS), "engine/arm64-v8a/liblitert-lm.so", "files.sha256"}
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [root.name]
    assert not (tmp_path / "outside").exists()


def test_a_filled_cache_asks_nobody(tmp_path: Path, wanted: list[Piece], store: Path) -> None:
    first = fill(tmp_path / "cache", wanted, store)
    assert toolchain.toolchain(Silent(), tmp_path / "cache", wanted, {}) == first


def test_what_a_killed_filler_left_is_removed(tmp_path: Path, wanted: list[Piece], store: Path) -> None:
    (tmp_path / "cache" / ".fill-dead" / "ready").mkdir(parents=True)
    root = fill(tmp_path / "cache", wanted, store).root
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [root.name]


def change(root: Path) -> None:
    (root / "npm/lib/kotlin-stdlib.jar").write_bytes(b"another")


def add(root: Path) -> None:
    (root / "npm/lib/kotlin-evil.jar").write_bytes(b"")


def remove(root: Path) -> None:
    (root / "engine/arm64-v8a/liblitert-lm.so").unlink()


def forget(root: Path) -> None:
    (root / "files.sha256").unlink()


@pytest.mark.parametrize(
    ("tamper", "named"),
    [(change, "kotlin-stdlib.jar"), (add, "kotlin-evil.jar"), (remove, "liblitert-lm.so"), (forget, "is not what was")],
)
def test_a_tampered_cache_is_refused_by_the_files_name(
    tmp_path: Path, wanted: list[Piece], store: Path, tamper: Callable[[Path], None], named: str
) -> None:
    tamper(fill(tmp_path / "cache", wanted, store).root)
    with pytest.raises(ApkUnavailableError, match=named) as caught:
        fill(tmp_path / "cache", wanted, store)
    assert "is not what was unpacked; remove that folder" in caught.value.why


def test_a_list_of_digests_that_was_made_anew_is_refused_too(tmp_path: Path, wanted: list[Piece], store: Path) -> None:
    root = fill(tmp_path / "cache", wanted, store).root
    pinned = digest(root / toolchain.SUMS)
    toolchain.check(root, pinned)
    change(root)
    (root / toolchain.SUMS).write_text(toolchain._sums(root))
    with pytest.raises(ApkUnavailableError, match="is not what was unpacked"):
        toolchain.check(root, pinned)


def test_another_file_than_the_pinned_one_is_refused_and_nothing_stays(
    tmp_path: Path, wanted: list[Piece], store: Path
) -> None:
    npm_package(store / "compiler.tgz", "package/lib/kotlin-compiler.jar")
    with pytest.raises(
        ApkUnavailableError, match=r"compiler 1\.0 with sha512 .* could not be had; downloaded: compiler"
    ):
        fill(tmp_path / "cache", wanted, store)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_member_outside_of_its_package_is_refused(tmp_path: Path, store: Path) -> None:
    npm_package(store / "compiler.tgz", "package/lib/kotlin-compiler.jar", "../../outside")
    piece = Piece("npm", "compiler", "1.0", digest(store / "compiler.tgz", "sha512"), algorithm="sha512")
    with pytest.raises(tarfile.OutsideDestinationError):
        fill(tmp_path / "cache", [piece], store)
    assert not (tmp_path / "cache" / "outside").exists()


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("java", r"java \(17 or later\) is needed"),
        ("apt-get", "apt-get is needed to fetch Debian packages"),
        ("dpkg-deb", "dpkg-deb is needed to fetch Debian packages"),
        ("npm", "npm is needed to fetch a and was not found"),
    ],
)
def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, why: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/bin/{name}")
    with pytest.raises(ApkUnavailableError, match=why):
        toolchain.toolchain(Silent(), tmp_path, [Piece("npm" if missing == "npm" else "debian", "a", "1", "0" * 64)])
    assert list(tmp_path.iterdir()) == []


def test_another_system_is_told_that_the_tools_are_not_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(ApkUnavailableError, match="for Linux on x86-64, this is darwin on arm64"):
        toolchain.toolchain(Silent())


def test_the_lock_names_every_piece_once_by_a_whole_digest_and_no_host() -> None:
    listed = pieces.locked()
    assert len({(piece.name, piece.origin) for piece in listed}) == len(listed) > 30
    lengths = {"sha256": 64, "sha512": 128}
    assert all(re.fullmatch("[0-9a-f]+", p.digest) and len(p.digest) == lengths[p.algorithm] for p in listed)
    assert "//" not in pieces.LOCK.read_text("utf-8")
