"""An HTTP server on this machine that serves one file badly, in ways that real ones do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """One answer.

    Attributes:
        status, headers: sent as they are; Content-Length is that of ``body`` unless it is among them.
        body: what is announced.
        cut: bytes of the body after which the connection is closed; None for all.
        stall: seconds of silence after ``cut`` before that.
        reset: whether the connection is reset instead of closed.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    stall: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Asked:
    """A request: its number from 0, path, first byte of the range or None, and If-Range."""

    number: int
    path: str
    offset: int | None
    if_range: str | None
    encoding: str | None


Script = Callable[[Asked], Reply]


@dataclass
class Server:
    url: str
    asked: list[Asked]


def proper(data: bytes, asked: Asked, tag: str = '"v1"') -> Reply:
    """What a sound server answers."""
    offset = asked.offset
    if offset is None or asked.if_range not in (None, tag):
        return Reply(200, {"ETag": tag, "Accept-Ranges": "bytes"}, data)
    if offset >= len(data):
        return Reply(416, {"Content-Range": f"bytes */{len(data)}"})
    headers = {"ETag": tag, "Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"}
    return Reply(206, headers, data[offset:])


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    seen: list[Asked] = []
    lock = threading.Lock()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            with lock:
                offset = int(found.group(1)) if found else None
                headers = self.headers.get("If-Range"), self.headers.get("Accept-Encoding")
                asked = Asked(len(seen), self.path, offset, *headers)
                seen.append(asked)
            self.answer(script(asked))

        def answer(self, reply: Reply) -> None:
            self.close_connection = True
            try:
                self.send_response(reply.status)
                for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body[: reply.cut])
                self.wfile.flush()
                if reply.reset:
                    time.sleep(0.01)  # the client shall have read what came
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.connection.close()
                over.wait(reply.stall)
            except OSError:
                pass  # the client went away

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a connection that was reset on purpose

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        over.set()
        server.shutdown()
        server.server_close()
