"""A file server on the loopback that misbehaves as it is told, over http or https."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).with_name("loopback.pem")
Answer = Callable[["Hostile", BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hostile:
    """files: content by path. etags: by path. answers: of the next GET requests, the first first;
    then honest ones. always: of every GET that has no answer of its own. dated: whether files
    without an ETag have a date."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    ranges: bool = True
    asked: list[Asked] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    @property
    def wanted(self) -> list[str | None]:
        """The Range of each GET."""
        return [one.headers.get("range") for one in self.asked if one.method == "GET"]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.asked.append(Asked(request.command, request.path, headers))
        if request.command == "GET":
            if self.answers:
                self.answers.pop(0)(self, request)
                return
            if self.always is not None:
                self.always(self, request)
                return
        honest(self, request)


def honest(server: Hostile, request: BaseHTTPRequestHandler, **changes: Any) -> None:
    """The file, or the rest of it where that is asked for and it is still the same. changes: cut
    (bytes sent), claim (the length told; None: none), heed (whether If-Range is), kind (type)."""
    content = server.files.get(request.path.lstrip("/"))
    if content is None:
        request.send_error(404)
        return
    etag = server.etags.get(request.path.lstrip("/"), "")
    wanted, condition = request.headers.get("Range"), request.headers.get("If-Range")
    same = condition in (None, etag) or not changes.get("heed", True)
    resumes = wanted is not None and server.ranges and same
    start = int(str(wanted).removeprefix("bytes=").rstrip("-")) if resumes else 0
    if resumes and start >= len(content):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    body = content[start:]
    request.send_response(206 if resumes else 200)
    if resumes:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    claim = changes.get("claim", len(body))
    if claim is not None:
        request.send_header("Content-Length", str(claim))
    if etag:
        request.send_header("ETag", etag)
    request.send_header("Content-Type", changes.get("kind", "application/octet-stream"))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body[: changes.get("cut", len(body))])


def cutting(size: int, **changes: Any) -> Answer:
    """So many bytes, then the connection is closed."""
    return lambda server, request: honest(server, request, cut=size, **changes)


def partial(start: int, stop: int, told: str | None = None) -> Answer:
    """Those bytes and no others, whatever was asked for. told: the Content-Range; None: true."""

    def answer(server: Hostile, request: BaseHTTPRequestHandler) -> None:
        content = server.files[request.path.lstrip("/")]
        request.send_response(206)
        true = f"bytes {start}-{stop - 1}/{len(content)}"
        request.send_header("Content-Range", true if told is None else told)
        request.send_header("Content-Length", str(stop - start))
        request.end_headers()
        request.wfile.write(content[start:stop])

    return answer


def chunked(size: int) -> Answer:
    """So many bytes in a chunk, and no last one."""

    def answer(server: Hostile, request: BaseHTTPRequestHandler) -> None:
        name = request.path.lstrip("/")
        request.send_response(200)
        request.send_header("ETag", server.etags[name])
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"%x\r\n" % size + server.files[name][:size])

    return answer


def claiming(size: int | str | None) -> Answer:
    """The whole file, said to be of another length, or of none."""
    return lambda server, request: honest(server, request, claim=size)


def heedless(server: Hostile, request: BaseHTTPRequestHandler) -> None:
    """The rest of whatever is there now, whatever If-Range says."""
    honest(server, request, heed=False)


def saying(status: int, **headers: str) -> Answer:
    """A bare status."""

    def answer(server: Hostile, request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def redirecting(url: str) -> Answer:
    """Go there instead."""
    return saying(302, Location=url)


def page(server: Hostile, request: BaseHTTPRequestHandler) -> None:
    """A web page in place of the file, as services send that want a click first."""
    body = b"<!DOCTYPE html><html><title>Virus scan warning</title></html>"
    request.send_response(200)
    request.send_header("Content-Type", "text/html; charset=utf-8")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def stalling(seconds: float, after: int = 0) -> Answer:
    """So many bytes, then nothing for a while."""

    def answer(server: Hostile, request: BaseHTTPRequestHandler) -> None:
        honest(server, request, cut=after)
        request.wfile.flush()
        time.sleep(seconds)

    return answer


@contextmanager
def serving(*, tls: bool = False) -> Iterator[Hostile]:
    """A server while the context lasts."""
    told = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def do_HEAD(self) -> None:
            told.answer(self)

        def log_message(self, *arguments: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            if not tls:
                super().finish_request(request, client_address)
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            with context.wrap_socket(request, server_side=True) as safe:
                super().finish_request(safe, client_address)

        def handle_error(self, *arguments: Any) -> None:
            """A client that hangs up is what many tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        told.address = f"http{'s' * tls}://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield told
        http.shutdown()
        thread.join()
