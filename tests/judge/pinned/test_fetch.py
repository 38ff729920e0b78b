"""Pinned packages: what the package managers are asked for, told by stand-ins for them, and files held to digests."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from runtime_tests.pinned import fetch
from runtime_tests.pinned.pieces import FetchError, Piece, held, place

# Writes down what it was asked for, and answers as apt does about its mirrors.
STAND_IN = """#!/bin/sh
echo "$(basename $0) $@" >> {log}
pwd > {log}.where
if [ -n "$APT_CONFIG" ] && [ "$2" = update ]; then
    cat "$APT_CONFIG" "$(dirname $APT_CONFIG)/sources.list" >> {log}
fi
if [ "$1" = indextargets ]; then echo "{mirror}"; fi
"""
MIRRORS = "http://a-mirror/debian-security bookworm-security\nhttp://mirror/debian bookworm\nodd"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-ins for apt and npm write down what they were asked for."""
    return stand_ins(tmp_path, monkeypatch)


def stand_ins(folder: Path, monkeypatch: pytest.MonkeyPatch, mirror: str = MIRRORS) -> Path:
    log = folder / "asked"
    (folder / "bin").mkdir()
    for name in ("apt-get", "dpkg-deb", "npm"):
        path = folder / "bin" / name
        path.write_text(STAND_IN.format(log=log, mirror=mirror))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return log


def test_apt_is_asked_for_exact_versions_of_each_suite_and_processor_with_a_state_of_its_own(
    asked: Path, tmp_path: Path
) -> None:
    pieces = [Piece("debian", "tool", "1:2-3", "", "sid"), Piece("debian", "lib", "4", "", "bookworm", "arm64")]
    fetch.from_apt(pieces, tmp_path)
    lines = asked.read_text().splitlines()
    assert lines[-1] == "apt-get -q download tool=1:2-3 lib:arm64=4"
    assert 'APT::Architectures {"amd64"; "arm64";};' in lines
    assert [line for line in lines if line.startswith("deb ")] == [
        "deb [trusted=yes arch=arm64] http://mirror/debian bookworm main",
        "deb [trusted=yes arch=amd64] http://mirror/debian sid main",
    ]
    (states,) = (line.split('"')[1] for line in lines if line.startswith("Dir::State::lists"))
    assert not Path(states).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked", "asked.where", "bin"]


def test_apt_knows_this_machines_processor_also_where_only_another_ones_packages_are_asked_for(
    asked: Path, tmp_path: Path
) -> None:
    fetch.from_apt([Piece("debian", "lib", "4", "", "bookworm", "arm64")], tmp_path)
    assert 'APT::Architectures {"amd64"; "arm64";};' in asked.read_text().splitlines()


def test_a_machine_whose_apt_has_no_mirror_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins(tmp_path, monkeypatch, mirror="")
    with pytest.raises(FetchError, match="this machine's apt names no Debian mirror"):
        fetch.from_apt([Piece("debian", "a", "1", "", "sid")], tmp_path)


def test_npm_packs_exact_versions_where_no_project_has_a_say(asked: Path, tmp_path: Path) -> None:
    fetch.from_npm([Piece("npm", "compiler", "2.0", ""), Piece("npm", "other", "3", "")], tmp_path)
    assert asked.read_text() == f"npm pack --silent --pack-destination {tmp_path} compiler@2.0 other@3\n"
    assert not Path(asked.with_name("asked.where").read_text().strip()).exists()


def test_pip_is_asked_for_each_wheel_with_its_digest_and_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        fetch, "command", lambda words: asked.append((words, (tmp_path / "wheels.txt").read_text("utf-8")))
    )
    pieces = [Piece("wheels", "a", "1", "00", "one two"), Piece("wheels", "b", "2", "11", "three")]
    fetch.from_pip(pieces, tmp_path / "wheels")
    assert [pins for _, pins in asked] == ["a==1 --hash=sha256:00\n", "b==2 --hash=sha256:11\n"]
    assert all(words[:4] == [sys.executable, "-m", "pip", "download"] for words, _ in asked)
    assert all({"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(words) for words, _ in asked)
    platforms = [[word for word in words if word.startswith("--platform")] for words, _ in asked]
    assert platforms == [["--platform=one", "--platform=two"], ["--platform=three"]]


def test_the_first_complaint_that_is_no_warning_is_passed_on() -> None:
    said = r"printf '\nWARNING: slow\nW: old\n no network \nmore\n' >&2; exit 1"
    with pytest.raises(FetchError, match=r"^sh printf.* failed: no network$"):
        fetch.command(["sh", "-c", said])
    with pytest.raises(FetchError, match=r"sh false failed: nothing"):
        fetch.command(["sh", "-c", "false"])
    with pytest.raises(FetchError, match=r"no-such-tool: .*No such file"):
        fetch.command(["no-such-tool"])


def test_a_file_is_found_by_its_digest_whatever_its_name(tmp_path: Path) -> None:
    for name, content in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(content)
    one = Piece("debian", "a", "1", hashlib.sha256(b"1").hexdigest())
    two = Piece("npm", "b", "2", hashlib.sha512(b"2").hexdigest(), algorithm="sha512")
    assert held([two, one], tmp_path) == [tmp_path / "two", tmp_path / "one"]


def test_another_file_than_the_pinned_one_is_named_with_the_pin(tmp_path: Path) -> None:
    (tmp_path / "tool_1.deb").write_bytes(b"1")
    (tmp_path / "lib_1.deb").write_bytes(b"2")
    piece = Piece("debian", "tool", "1", "f" * 64)
    with pytest.raises(FetchError, match=r"^tool 1 with sha256 f{12}\.\.\. could not be had; downloaded: tool_1\.deb$"):
        held([piece], tmp_path)
    # A digest of another kind of hash is no proof.
    short = Piece("debian", "tool", "1", hashlib.md5(b"1").hexdigest())
    with pytest.raises(FetchError, match="could not be had"):
        held([short], tmp_path)


def test_a_set_of_pieces_has_a_place_of_its_own(tmp_path: Path) -> None:
    one, two = Piece("debian", "a", "1", "0"), Piece("debian", "a", "1", "1")
    places = {place(tmp_path, [one]), place(tmp_path, [two]), place(tmp_path, [one, two]), place(tmp_path, [one], "x")}
    assert len(places) == 4
    assert all(path.parent == tmp_path for path in places)
