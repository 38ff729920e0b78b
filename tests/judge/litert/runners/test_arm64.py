"""Fetching what emulates arm64, with made-up pieces; and one real run where a cache has been filled before."""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runtime_tests.errors import CannotRunError
from runtime_tests.ladder import ARM64, climb, passed
from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.runners.arm64 import arm64
from runtime_tests.litert.runners.arm64_pieces import EMULATOR, FETCH, PIECES, fill
from runtime_tests.pinned.fetch import Fetch
from runtime_tests.pinned.pieces import Kind, Piece, cache, place
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.results import Rung


def wheel(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}/__init__.py"), name)
    return data.getvalue()


def piece(kind: Kind, name: str, data: bytes, *more: str) -> Piece:
    return Piece(kind, name, "1.0", hashlib.sha256(data).hexdigest(), *more)


HERE = place(cache("arm64"), PIECES)
A, B = wheel("a"), wheel("b")
WANTED = (piece("wheels", "a", A), piece("wheels", "b", B))


def gives(suffix: str = ".whl", **files: bytes) -> Fetch:
    def fetch(pieces: Sequence[Piece], folder: Path) -> None:
        for item in pieces:
            (folder / f"{item.name}{suffix}").write_bytes(files[item.name])

    return fetch


def wheels(**files: bytes) -> Mapping[str, Fetch]:
    return {"wheels": gives(**files)}


def test_pieces_are_checked_and_unpacked_under_the_digest_of_all_pins(tmp_path: Path) -> None:
    made = fill(tmp_path, WANTED, wheels(a=A, b=B))
    assert made == place(tmp_path, WANTED)
    assert (made / "site" / "b" / "__init__.py").read_text() == "b"
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    assert place(tmp_path, WANTED[:1]) != made


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    made = fill(tmp_path, WANTED, wheels(a=A, b=B))
    assert fill(tmp_path, WANTED, {}) == made


def test_a_piece_with_another_hash_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match=r"b 1\.0 with sha256 [0-9a-f]{12}\.\.\. could not be had; downloaded: b"):
        fill(tmp_path, WANTED, wheels(a=A, b=B + b" "))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(pieces: Sequence[Piece], folder: Path) -> None:
        gives(a=A, b=B)(pieces[:1], folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, WANTED, {"wheels": interrupted})
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_pips_reason_is_passed_on_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    with pytest.raises(CannotRunError, match=r"Could not find a version that satisfies the requirement a==1\.0"):
        fill(tmp_path / "cache", WANTED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_apt_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRunError, match="apt-get is needed to fetch Debian packages"):
        fill(tmp_path / "cache", [piece("debian", "c", b"", "bookworm")])


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")
def test_debian_packages_go_to_their_processors_folder_and_only_the_emulator_stays(tmp_path: Path) -> None:
    files = {}
    for name, arch, path in (("libx", "arm64", "usr/lib/libx.so"), ("qemu", "amd64", f"usr/bin/{EMULATOR}")):
        root = tmp_path / name
        for file in (root / path, root / "usr" / "bin" / "qemu-other", root / "DEBIAN" / "control"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
        control = f"Package: {name}\nVersion: 1\nArchitecture: {arch}\nMaintainer: nobody\nDescription: made up\n"
        (root / "DEBIAN" / "control").write_text(control)
        subprocess.run(["dpkg-deb", "-b", root, tmp_path / f"{name}.deb"], check=True, capture_output=True)
        files[name] = (tmp_path / f"{name}.deb").read_bytes()

    wanted = [
        piece("debian", "libx", files["libx"], "bookworm", "arm64"),
        piece("debian", "qemu", files["qemu"], "trixie"),
    ]
    made = fill(tmp_path / "cache", wanted, {"debian": gives(".deb", **files)})
    assert (made / "root" / "usr" / "lib" / "libx.so").read_text() == "libx"
    assert [path.name for path in (made / "host").rglob("*") if path.is_file()] == [EMULATOR]


def test_another_machine_is_told_that_it_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(CannotRunError, match="emulated on Linux on x86-64 only"):
        arm64(tmp_path)


def test_an_empty_cache_is_no_download_for_those_who_do_not_ask(tmp_path: Path) -> None:
    if platform.machine() == "x86_64":
        with pytest.raises(CannotRunError, match="verify --arm64 does that"):
            arm64(tmp_path, fetch=False)


def test_every_piece_is_pinned_and_the_wheels_are_the_versions_that_judge_here() -> None:
    pins = dict(
        line.split("==")
        for line in (Path(__file__).parents[4] / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    versions = {item.name: item.version for item in PIECES if item.kind == "wheels"}
    assert versions == {name: pins[name] for name in ("ai-edge-litert", "litert-lm-api", "numpy")}
    assert len({item.digest for item in PIECES}) == len(PIECES)
    assert all(len(item.digest) == 64 for item in PIECES)
    assert {item.kind for item in PIECES} == FETCH.keys()


def test_arm64_that_cannot_run_is_no_failure_and_arm64_that_fails_is_one() -> None:
    good = Rung("0", "", "pass", "", ())
    assert passed([good, Rung(ARM64.name, "", "not run", "offline", ())], ("0",))
    assert not passed([good, Rung(ARM64.name, "", "fail", "", ())], ("0",))
    assert not passed([Rung(ARM64.name, "", "pass", "", ())], ("0",)), "the ladder itself has to be climbed"


@pytest.mark.slow
@pytest.mark.skipif(not HERE.is_dir(), reason="not run: verify --arm64 has filled no cache here")
def test_a_small_model_gives_the_same_numbers_and_texts_on_arm64(mobile_e2b: Path, tmp_path: Path) -> None:
    from convert.checkpoint import open_checkpoint as read
    from convert.progress import Silent
    from convert.targets.litert import LitertOptions, convert

    out = tmp_path / "model.litertlm"
    convert(read(mobile_e2b), LitertOptions(context=160, prefill=(32,), cache="float32"), out, Silent())
    (rung,) = climb(LitertCase(open_litertlm(out), open_checkpoint(mobile_e2b)), (ARM64.name,))
    assert (rung.status, [check.name for check in rung.checks if not check.passed]) == ("pass", [])
