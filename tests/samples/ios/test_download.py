"""The core's downloader against servers that misbehave, and its import of a file that is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.ios import swift_tools
from tests.support.samples.downloads import DATA, LIMITS, OTHER, SHA, Client, DownloadCases, Fetch, running
from tests.support.samples.faulty_server import Asked, Reply, proper, serving

NAME = "weight.bin"
LINUX = Path("/proc/self/status").exists()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(swift_tools.program("Driver"), NAME, command="fetch") as found:
        yield found


class TestDownload(DownloadCases):
    @pytest.mark.skipif(not LINUX, reason="needs /proc")
    def test_a_body_does_not_pile_up_in_memory_when_the_storage_is_slow(self, tmp_path: Path) -> None:
        size = 96_000_000
        fields = {"target": str(tmp_path / "files" / NAME), "bytes": size, "sha256": SHA} | LIMITS
        with (
            serving(lambda asked: Reply(200, {}, bytes(size))) as server,
            running(swift_tools.program("Driver"), NAME, command="fetch") as slow,
        ):
            said = slow.ask(fields | {"url": server.url, "slow": 3, "cancel_at": 8_000_000, "stall": 30_000})
            peak = peak_memory(slow.process.pid)
        assert said["trouble"] == "CANCELLED"
        assert peak < 64_000_000, f"{peak} bytes at most"

    def test_the_storage_is_asked_for_its_free_space(self, tmp_path: Path) -> None:
        found = os.statvfs(tmp_path)
        free = swift_tools.driver().ask("free", folder=str(tmp_path))["bytes"]
        assert free > found.f_bavail * found.f_frsize - 1e9
        assert free < found.f_bavail * found.f_frsize + 1e9 or not LINUX  # Apple counts what it can free
        assert swift_tools.driver().ask("free", folder=str(tmp_path / "none"))["bytes"] == 0

    def test_a_download_whose_space_goes_under_way_ends_and_keeps_its_part(self, client: Client, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            return replace(proper(DATA, asked), cut=300_000)

        free = 32 * 1024 * 1024 + len(DATA)
        # What lies in the folder counts twice in this test: against the free space that is told, and as received.
        got = fetch(script, free=free, requests=2)
        assert (got.trouble, got.part) == ("NETWORK", 600_000)
        got = fetch(script, free=free - 1)
        assert (got.trouble, got.part, got.asked) == ("NO_SPACE", 600_000, [])


@pytest.mark.parametrize(
    ("begin", "to", "found"),
    [
        ("https://a.example/x/y?q", "https://b.example/z", "https://b.example/z"),
        ("https://a.example/x/y?q", "../z%20a?b=c", "https://a.example/z%20a?b=c"),
        ("https://a.example/x/y?q", "//b.example:1/z", "https://b.example:1/z"),
        ("http://a.example/x", "HTTPS://b.example/z", "https://b.example/z"),
        ("http://a.example/x", "http://b.example/z", "http://b.example/z"),
        ("https://a.example/x", "http://a.example/x", "from https to http."),
        ("https://a.example/x", "HTTP://a.example/x", "from https to http."),
        ("http://a.example/x", "data:,x", "from http to data."),
        ("http://a.example/x", "https:///x", "redirects to no address."),
        ("file:///etc/passwd", "", "A model comes over https or http, not file."),
        ("x", "", '"x" is no address.'),
        ("http:///x", "", "is no address."),
        ("", "", "is no address."),
    ],
)
def test_an_encrypted_connection_is_not_left_for_a_plain_one(begin: str, to: str, found: str) -> None:
    said = swift_tools.driver().tell("redirect", url=begin, to=to)
    if found.startswith("http"):
        assert said["url"].replace("HTTPS:", "https:") == found
    else:
        assert said["error"].endswith(found)


def peak_memory(process: int) -> int:
    """Bytes that a process had resident at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class TestImport:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "files"

    def copy(self, source: Path, folder: Path, **other: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "source": str(source),
            "target": str(folder / NAME),
            "bytes": len(DATA),
            "sha256": SHA,
        }
        answer: dict[str, Any] = swift_tools.driver().ask("import", **(fields | LIMITS | other))
        return answer

    def file(self, tmp_path: Path, data: bytes = DATA) -> Path:
        path = tmp_path / "picked"
        path.write_bytes(data)
        return path

    def test_a_right_file_arrives_and_is_not_copied_a_second_time(self, tmp_path: Path, folder: Path) -> None:
        assert self.copy(self.file(tmp_path), folder)["trouble"] == ""
        assert (folder / NAME).read_bytes() == DATA
        assert [file.name for file in folder.iterdir()] == [NAME]
        assert self.copy(self.file(tmp_path, OTHER), folder)["trouble"] == ""
        assert (folder / NAME).read_bytes() == DATA

    @pytest.mark.parametrize(
        ("data", "says"),
        [(OTHER, "SHA-256"), (DATA[:-1], "999999 bytes"), (DATA + b"x", "longer than 1 MB"), (b"", "0 bytes")],
    )
    def test_a_file_that_is_not_the_model_leaves_nothing(
        self, tmp_path: Path, folder: Path, data: bytes, says: str
    ) -> None:
        said = self.copy(self.file(tmp_path, data), folder)
        assert said["trouble"] == "WRONG_FILE"
        assert says in said["message"]
        assert list(folder.iterdir()) == []

    def test_a_file_that_cannot_be_read_leaves_nothing(self, tmp_path: Path, folder: Path) -> None:
        for source in (tmp_path / "none", tmp_path):
            assert self.copy(source, folder)["trouble"] == "STORAGE"
        assert not folder.exists() or list(folder.iterdir()) == []

    def test_a_full_disk_is_found_before_the_copy_and_a_cancel_ends_it(self, tmp_path: Path, folder: Path) -> None:
        said = self.copy(self.file(tmp_path), folder, free=len(DATA))
        assert (said["trouble"], said["most"]) == ("NO_SPACE", 0)
        said = self.copy(self.file(tmp_path), folder, cancel_at=400_000)
        assert said["trouble"] == "CANCELLED"
        assert said["most"] < len(DATA)
        assert list(folder.iterdir()) == []

    def test_a_damaged_file_is_replaced_also_from_itself_and_parts_of_others_go(self, folder: Path) -> None:
        folder.mkdir()
        (folder / NAME).write_bytes(OTHER)
        (folder / f"{NAME}.0123456789abcdef.part").write_text("old")
        (folder / "notes.txt").write_text("the user's")
        said = self.copy(folder / NAME, folder)
        assert said["trouble"] == "WRONG_FILE"
        assert [file.name for file in folder.iterdir()] == ["notes.txt"]
        assert self.copy(self.file(folder.parent), folder)["trouble"] == ""
        assert sorted(file.name for file in folder.iterdir()) == ["notes.txt", NAME]
