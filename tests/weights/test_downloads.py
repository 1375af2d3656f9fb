"""Downloads: resumed, verified, shared by processes, and quick to say that there is no network."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from weight_files import CONTENT, DIGEST, empty_caches, fails, published, put

from genbench.weights import connections
from genbench.weights.files import locate, obtain


@dataclass
class Server:
    """A file server on the loopback that can be told to misbehave."""

    address: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # of each next answer: bytes, then close
    status: int = 200
    stall: bool = False
    asked: list[str | None] = field(default_factory=list)  # the Range of each request

    def url(self, name: str = "net.pth") -> str:
        return f"http://{self.address}/{name}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            end = len(self.content)
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.stall:
            time.sleep(1.0)
            return
        request.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told.address = f"127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield told
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_caches(tmp_path, monkeypatch)


def test_download_verifies_reports_progress_and_stays_in_the_cache(server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    weight = published(server.url(), sha256=DIGEST[:8].upper())
    path = obtain(weight, progress=lambda done, total: seen.append((done, total)))
    assert path == weight.place == locate(weight, None)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert obtain(weight) == path
    assert len(server.asked) == 1, "a cached file is not fetched again"
    assert not list(path.parent.glob("*.part"))


def test_file_addresses_work(tmp_path: Path) -> None:
    source = put(tmp_path / "there" / "net.pth")
    assert obtain(published(source.as_uri())).read_bytes() == CONTENT
    fails(lambda: obtain(published((tmp_path / "none").as_uri(), filename="b.pth")), "No such file")


def test_unknown_schemes_are_refused() -> None:
    fails(lambda: obtain(published("ftp://127.0.0.1/net.pth")), "not an https, http or file")


def test_a_transfer_that_breaks_is_resumed_where_it_stopped(server: Server) -> None:
    server.cut_after = [1_000_000, 500_000]
    assert obtain(published(server.url())).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_part_left_by_a_killed_run_is_resumed(server: Server) -> None:
    weight = published(server.url())
    put(weight.place.with_name(weight.place.name + ".part"), CONTENT[:2_000_000])
    assert obtain(weight).read_bytes() == CONTENT
    assert server.asked == ["bytes=2000000-"]


def test_a_whole_part_needs_no_more_bytes(server: Server) -> None:
    weight = published(server.url())
    put(weight.place.with_name(weight.place.name + ".part"))
    assert obtain(weight).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(server: Server) -> None:
    weight = published(server.url())
    for stale in (b"x" * 1000, b"x" * (len(CONTENT) + 5)):
        put(weight.place.with_name(weight.place.name + ".part"), stale)
        assert obtain(weight).read_bytes() == CONTENT
        weight.place.unlink()


def test_a_server_without_ranges_starts_over(server: Server) -> None:
    server.ranges = False
    server.cut_after = [1_000_000]
    assert obtain(published(server.url())).read_bytes() == CONTENT


def test_a_server_that_always_cuts_short_is_reported_and_resumable(server: Server) -> None:
    server.cut_after = [1000, 0, 0, 0]
    weight = published(server.url())
    fails(lambda: obtain(weight), f"byte 1000 of {len(CONTENT)}", "closed early", "run again")
    assert not weight.place.exists()
    server.cut_after = []
    assert obtain(weight).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000-"


def test_a_wrong_digest_leaves_nothing_behind(server: Server) -> None:
    server.content = CONTENT[:-1] + b"!"
    weight = published(server.url())
    fails(lambda: obtain(weight), DIGEST[:16], "removed", "--detector-weights")
    assert [path.suffix for path in weight.place.parent.iterdir()] == [".lock"]


def test_a_damaged_cached_file_is_not_used(server: Server, tmp_path: Path) -> None:
    weight = published(server.url())
    put(weight.place, b"damaged")
    fails(lambda: obtain(weight), str(weight.place), "delete it")
    weight.place.unlink()
    put(tmp_path / "torch" / "hub" / "checkpoints" / "net.pth", b"another file of that name")
    assert obtain(weight) == weight.place, (
        "a stranger's file in torch hub does not stand in the way"
    )


def test_a_missing_page_is_reported_at_once(server: Server) -> None:
    server.status = 404
    fails(lambda: obtain(published(server.url())), "404", server.url(), "--detector other")
    assert len(server.asked) == 1


def test_a_stalled_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.1)
    server.stall = True
    fails(lambda: obtain(published(server.url())), "stopped answering", "run again")


def test_offline_is_one_line_within_five_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = unused.getsockname()[1]
        weight = published(f"http://127.0.0.1:{port}/net.pth")
        start = time.monotonic()
        fails(
            lambda: obtain(weight), "net.pth", "127.0.0.1 cannot be reached", str(weight.place),
            "https://example.org/net", "--detector other works",
        )  # fmt: skip
        assert time.monotonic() - start < 5


def test_a_name_lookup_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.2)

    def hang(*arguments: Any, **options: Any) -> socket.socket:
        released.wait(10)
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", hang)
    start = time.monotonic()
    fails(lambda: obtain(published("https://example.invalid/net.pth")), "no answer in time")
    assert time.monotonic() - start < 2
    released.set()


def test_without_an_address_the_error_says_where_it_ships() -> None:
    fails(lambda: obtain(published("", published_at="the pip package x")), "the pip package x")


ELSEWHERE = """
import sys
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, obtain
weight = WeightFile(filename="net.pth", url=sys.argv[1], sha256=sys.argv[2], published_at="")
print(file_sha256(obtain(weight)))
"""


def test_processes_that_fetch_at_once_share_one_download(server: Server) -> None:
    command = [sys.executable, "-c", ELSEWHERE, server.url(), DIGEST]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [worker.communicate(timeout=60)[0].strip() for worker in workers] == [DIGEST] * 3
    assert server.asked == [None]


def test_threads_that_fetch_at_once_share_one_download(server: Server) -> None:
    weight = published(server.url())
    threads = [threading.Thread(target=obtain, args=(weight,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert weight.place.read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_full_disk_is_said_plainly(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = published(server.url())
    part = weight.place.with_name(weight.place.name + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    fails(lambda: obtain(weight), "no space left", str(weight.place))
    part.unlink()
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    fails(lambda: obtain(weight), "no space", "10 free", "GENBENCH_CACHE")


def test_a_folder_that_cannot_be_written_is_said_plainly(server: Server) -> None:
    weight = published(server.url())
    put(weight.place.parent, b"a file where the folder should be")
    fails(lambda: obtain(weight), "cannot write", str(weight.place))
