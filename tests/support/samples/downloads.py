"""The samples' downloaders against servers that misbehave: the file is right or absent, never wrong, and nothing is
left but a part to go on from. Each platform's test inherits the very same cases and gives a ``client``."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.samples.faulty_server import Asked, Reply, Script, proper, serving

DATA = random.Random(1).randbytes(1_000_000)
OTHER = random.Random(2).randbytes(1_000_000)
SHA = hashlib.sha256(DATA).hexdigest()
HANGS, SILENT = 120, 600  # seconds: whoever waits for a silent server to end waits too long for the guard
LIMITS = {"attempts": 4, "stall": 400, "requests": 500, "free": 10**12, "cancel_at": -1, "cancel_after": -1}


@dataclass(frozen=True)
class Client:
    """A platform's downloader in a process of its own, which takes and answers a JSON object a line.

    Attributes:
        words: the command line that starts another one like it.
        target: name of the model's file.
        always: what it is asked besides.
    """

    process: subprocess.Popen[str]
    words: Sequence[str]
    target: str
    always: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> str:
        return f"{self.target}.{SHA[:16]}.part"

    def send(self, process: subprocess.Popen[str], fields: dict[str, Any]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.always | fields) + "\n")
        process.stdin.flush()

    def ask(self, fields: dict[str, Any]) -> dict[str, Any]:
        guard = threading.Timer(HANGS, self.process.kill)
        guard.start()
        self.send(self.process, fields)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        guard.cancel()
        assert line, f"no answer within {HANGS} s"
        said: dict[str, Any] = json.loads(line)
        return said


@contextmanager
def running(words: Sequence[str], target: str, **always: Any) -> Iterator[Client]:
    """Starts a downloader, for all cases of a module."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Client(process, words, target, always)
        assert process.stdin is not None
        process.stdin.close()


@dataclass(frozen=True)
class Got:
    """How a download ended: its trouble, message, bytes at most, requests; and what lies in the folder."""

    trouble: str
    message: str
    most: int
    asked: list[Asked]
    left: dict[str, int]
    named: str

    @property
    def part(self) -> int | None:
        """Bytes of the part, None without one; the target must be absent then, and nothing else may lie there."""
        if not self.left:
            return None
        ((name, size),) = self.left.items()
        assert name == self.named
        return size


Fetch = Callable[..., Got]


def sound(asked: Asked) -> Reply:
    return proper(DATA, asked)


def cutting(size: int) -> Script:
    """Every answer ends after ``size`` bytes."""
    return lambda asked: replace(sound(asked), cut=size)


class DownloadCases:
    @pytest.fixture
    def fetch(self, client: Client, tmp_path: Path) -> Fetch:
        def call(script: Script, path: str = "/model", **limits: Any) -> Got:
            target = tmp_path / "files" / client.target
            with serving(script) as server:
                url = path if "://" in path else server.url + path
                fields = {"url": url, "target": str(target), "bytes": len(DATA), "sha256": SHA}
                said = client.ask(fields | LIMITS | limits)
            folder = target.parent
            left = {file.name: file.stat().st_size for file in folder.iterdir()} if folder.exists() else {}
            assert "error" not in said, said
            assert said["trouble"] != "BUG", said["message"]
            if not said["trouble"]:
                assert target.read_bytes() == DATA
                assert list(left) == [target.name]
            else:
                assert target.name not in left
            return Got(**said, asked=server.asked, left=left, named=client.part)

        return call

    def test_a_sound_server_gives_the_file_in_one_request(self, fetch: Fetch) -> None:
        got = fetch(sound)
        assert got.trouble == ""
        assert [(a.offset, a.encoding) for a in got.asked] == [(None, "identity")]
        assert fetch(sound).asked == []  # it is there

    @pytest.mark.parametrize("reset", [False, True])
    def test_twenty_dropped_connections_cost_nothing_but_requests(self, fetch: Fetch, reset: bool) -> None:
        got = fetch(lambda asked: replace(sound(asked), cut=48_000 if asked.number < 20 else None, reset=reset))
        assert got.trouble == ""
        assert len(got.asked) == 21
        offsets = [a.offset or 0 for a in got.asked]
        assert offsets == sorted(offsets)
        assert offsets[-1] > 0
        assert all(a.if_range == '"v1"' for a in got.asked[1:])

    def test_a_stall_is_noticed_and_the_download_goes_on(self, fetch: Fetch) -> None:
        got = fetch(
            lambda asked: replace(sound(asked), cut=300_000, stall=SILENT) if asked.number < 2 else sound(asked),
            stall=1500,
        )
        assert got.trouble == ""
        assert [a.offset for a in got.asked] == [None, 300_000, 600_000]

    def test_a_server_that_gives_no_length_and_truncates_is_not_believed(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            reply = sound(asked)
            reply.headers["Content-Length"] = ""
            return replace(reply, cut=400_000)

        assert fetch(script).trouble == ""

    def test_200_to_a_range_request_begins_anew_and_does_not_append(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            return Reply(200, {}, DATA, cut=None if asked.number else 500_000)

        got = fetch(script)
        assert got.trouble == ""
        assert [a.offset for a in got.asked] == [None, 500_000]

    def test_a_file_that_changes_under_way_never_becomes_a_mixture(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            old = asked.number == 0
            return replace(
                proper(OTHER if old else DATA, asked, '"v1"' if old else '"v2"'), cut=500_000 if old else None
            )

        got = fetch(script)
        assert got.trouble == ""  # If-Range made the server send the new file whole
        assert [a.if_range for a in got.asked] == [None, '"v1"']

    def test_a_mixture_without_etag_is_found_by_its_hash_and_removed(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            reply = proper(DATA if asked.number else OTHER, asked)
            del reply.headers["ETag"]
            return replace(reply, cut=None if asked.number else 500_000)

        got = fetch(script)
        assert (got.trouble, got.part) == ("WRONG_FILE", None)
        assert "SHA-256" in got.message

    def test_a_weak_etag_is_not_sent_back(self, fetch: Fetch) -> None:
        got = fetch(lambda asked: replace(proper(DATA, asked, 'W/"v1"'), cut=None if asked.number else 500_000))
        assert [a.if_range for a in got.asked] == [None, None]

    def test_a_wrong_file_of_the_right_length_is_removed(self, fetch: Fetch) -> None:
        got = fetch(lambda asked: proper(OTHER, asked))
        assert (got.trouble, got.part, len(got.asked)) == ("WRONG_FILE", None, 1)

    @pytest.mark.parametrize("size", [999_999, 1_000_001])
    def test_another_length_is_refused_before_it_is_received(self, fetch: Fetch, size: int) -> None:
        got = fetch(lambda asked: proper((DATA + b"x")[:size], asked))
        assert (got.trouble, got.part, got.most) == ("WRONG_FILE", None, 0)

    def test_more_bytes_than_the_model_has_are_not_stored(self, fetch: Fetch) -> None:
        got = fetch(lambda asked: Reply(200, {"Content-Length": ""}, DATA * 3))
        assert (got.trouble, got.part) == ("WRONG_FILE", None)
        assert got.most <= len(DATA)

    @pytest.mark.parametrize(
        "said",
        [
            "bytes 400000-999999/1000000",
            "bytes 500001-999999/1000000",
            "bytes 500000-1999999/1000000",
            "bytes 500000-400000/1000000",
            "bytes 500000-999998/1000000",
            "items 500000-999999/1000000",
            "bytes */1000000",
            "bytes 500000-999999/99999999999999999999999",
            "",
        ],
    )
    def test_a_part_that_is_not_the_one_asked_for_is_refused(self, fetch: Fetch, said: str) -> None:
        def script(asked: Asked) -> Reply:
            if asked.number == 0:
                return replace(sound(asked), cut=500_000)
            return Reply(206, {"Content-Range": said, "ETag": '"v1"'}, DATA[500_000:])

        got = fetch(script)
        assert (got.trouble, got.part) == ("SERVER", 500_000)
        assert fetch(sound).trouble == ""  # and a sound server goes on from there

    def test_a_part_of_a_file_of_another_length_is_refused(self, fetch: Fetch) -> None:
        got = fetch(
            lambda asked: replace(proper(DATA + OTHER, asked), headers={"Content-Range": "bytes 5-9/10"}, status=206)
        )
        assert got.trouble == "SERVER"
        assert "the whole was asked for" in got.message

        def script(asked: Asked) -> Reply:
            return replace(sound(asked), cut=500_000) if asked.number == 0 else proper(DATA + b"x", asked)

        got = fetch(script)
        assert got.trouble in ("SERVER", "WRONG_FILE")

    def test_parts_that_come_in_parts_are_put_together(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            begin = asked.offset or 0
            if begin == 0:
                return replace(sound(asked), cut=100_000)
            end = min(begin + 150_000, len(DATA))
            return Reply(206, {"Content-Range": f"bytes {begin}-{end - 1}/{len(DATA)}"}, DATA[begin:end])

        assert fetch(script).trouble == ""

    def test_416_throws_the_part_away_and_begins_anew(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            if asked.number == 0:
                return replace(sound(asked), cut=500_000)
            return Reply(416, {"Content-Range": "bytes */400000"}) if asked.offset else sound(asked)

        got = fetch(script)
        assert got.trouble == ""
        assert [a.offset for a in got.asked] == [None, 500_000, None]

    def test_a_download_goes_on_in_the_next_call(self, fetch: Fetch) -> None:
        first = fetch(cutting(200_000), requests=2)
        assert (first.trouble, first.part) == ("NETWORK", 400_000)
        second = fetch(sound)
        assert second.trouble == ""
        assert [a.offset for a in second.asked] == [400_000]

    def test_a_server_that_always_drops_at_once_is_given_up(self, fetch: Fetch) -> None:
        got = fetch(cutting(0))
        assert (got.trouble, got.part, len(got.asked)) == ("NETWORK", None, 4)
        assert "4 times in a row" in got.message

    def test_a_server_that_drops_after_each_byte_is_given_up(self, fetch: Fetch) -> None:
        got = fetch(cutting(1), requests=30)
        assert (got.trouble, got.part) == ("NETWORK", 30)
        assert len(got.asked) == 30

    @pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
    def test_a_refusal_is_told_at_once(self, fetch: Fetch, status: int) -> None:
        got = fetch(lambda asked: Reply(status))
        assert (got.trouble, got.part, len(got.asked)) == ("SERVER", None, 1)
        assert str(status) in got.message

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_that_is_busy_is_asked_again_and_makes_nobody_wait_for_an_hour(
        self, fetch: Fetch, status: int
    ) -> None:
        got = fetch(lambda asked: Reply(status, {"Retry-After": "3600"}) if asked.number < 2 else sound(asked))
        assert (got.trouble, len(got.asked)) == ("", 3)
        refused = fetch(sound)
        assert refused.asked == []

    def test_a_page_of_a_captive_portal_is_not_the_model(self, fetch: Fetch) -> None:
        got = fetch(lambda asked: Reply(200, {"Content-Type": "text/html"}, b"<h1>Please log in</h1>"))
        assert (got.trouble, got.part) == ("WRONG_FILE", None)

    def test_a_compressed_answer_is_refused(self, fetch: Fetch) -> None:
        got = fetch(lambda asked: Reply(200, {"Content-Encoding": "gzip"}, DATA))
        assert (got.trouble, got.part) == ("SERVER", None)

    def test_redirects_are_followed_with_the_range_and_not_for_ever(self, fetch: Fetch) -> None:
        def script(asked: Asked) -> Reply:
            if asked.path == "/model":
                return Reply(302, {"Location": "/a/b?signed=1"})
            if asked.path.startswith("/a"):
                return Reply(307, {"Location": "../c"})
            return replace(sound(asked), cut=None if asked.offset else 500_000)

        got = fetch(script)
        assert got.trouble == ""
        assert [(a.path, a.offset) for a in got.asked[3:]] == [(p, 500_000) for p in ("/model", "/a/b?signed=1", "/c")]

    @pytest.mark.parametrize(
        "to", ["/model", "file:///etc/passwd", "ftp://127.0.0.1/model", "nonsense://x", "jar:file:/x!/y"]
    )
    def test_a_redirect_in_circles_or_to_another_protocol_is_refused(self, fetch: Fetch, to: str) -> None:
        got = fetch(lambda asked: Reply(301, {"Location": to}))
        assert (got.trouble, got.part) == ("SERVER", None)
        assert len(got.asked) <= 6

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense", "ftp://127.0.0.1/a"])
    def test_an_address_that_is_none_is_refused(self, fetch: Fetch, url: str) -> None:
        got = fetch(sound, path=url if "://" in url else f"{url}://x")
        assert (got.trouble, got.part) == ("SERVER", None)

    def test_nobody_at_the_address_is_a_network_trouble(self, fetch: Fetch) -> None:
        got = fetch(sound, path="http://127.0.0.1:9/model")
        assert (got.trouble, got.part) == ("NETWORK", None)

    def test_a_full_disk_is_found_before_anything_is_asked_for(self, fetch: Fetch) -> None:
        got = fetch(sound, free=len(DATA))
        assert (got.trouble, got.part, got.asked) == ("NO_SPACE", None, [])
        assert "34 MB of free storage are needed" in got.message  # the model and a reserve

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_disk_that_refuses_a_write_is_told_as_such(self, client: Client, fetch: Fetch, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        part = tmp_path / "files" / client.part
        part.symlink_to("/dev/full")
        got = fetch(sound)
        assert got.trouble in ("NO_SPACE", "STORAGE")

    def test_a_cancel_ends_the_download_and_keeps_the_part(self, fetch: Fetch) -> None:
        got = fetch(cutting(300_000), cancel_at=600_000)
        assert got.trouble == "CANCELLED"
        assert got.part is not None
        assert got.part >= 600_000
        assert fetch(sound).trouble == ""

    def test_a_cancel_does_not_wait_for_a_server_that_is_silent(self, fetch: Fetch) -> None:
        got = fetch(
            lambda asked: replace(sound(asked), cut=300_000, stall=SILENT),
            cancel_at=300_000,
            cancel_after=150,
            stall=600_000,
        )
        assert (got.trouble, got.part) == ("CANCELLED", 300_000)

    def test_a_damaged_file_that_is_there_is_replaced(self, client: Client, fetch: Fetch, tmp_path: Path) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        (folder / client.target).write_bytes(OTHER)
        (folder / f"{client.target}.0000000000000000.part").write_bytes(OTHER[:77])
        assert fetch(sound).trouble == ""

    def test_a_damaged_file_goes_also_when_no_other_comes(self, client: Client, fetch: Fetch, tmp_path: Path) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        (folder / client.target).write_bytes(OTHER)
        got = fetch(lambda asked: Reply(404))
        assert (got.trouble, got.part) == ("SERVER", None)

    def test_a_part_that_was_damaged_meanwhile_is_found_out(self, client: Client, fetch: Fetch, tmp_path: Path) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        part = folder / client.part
        part.write_bytes(OTHER[:1000])
        got = fetch(sound)
        assert (got.trouble, got.part) == ("WRONG_FILE", None)
        part.write_bytes(DATA + b"longer")
        assert fetch(sound).trouble == ""

    def test_nothing_is_left_when_a_download_is_killed_but_the_part(self, client: Client, tmp_path: Path) -> None:
        target = tmp_path / "files" / client.target
        part = target.with_name(client.part)
        with serving(lambda asked: replace(sound(asked), cut=500_000, stall=30)) as server:
            asked = {"url": server.url, "target": str(target), "bytes": len(DATA), "sha256": SHA} | LIMITS
            asked["stall"] = 30_000
            with running(client.words, client.target, **client.always) as other:
                other.send(other.process, asked)
                while not (part.exists() and part.stat().st_size == 500_000):
                    assert other.process.poll() is None
                other.process.kill()
        assert [file.name for file in target.parent.iterdir()] == [part.name]
        assert part.read_bytes() == DATA[:500_000]
