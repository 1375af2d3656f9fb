"""Weight files: found, fetched with resume, verified, loaded without running what they carry."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from genbench import downloads
from genbench.core import GenbenchError
from genbench.weights import (
    WeightFile,
    cache_folder,
    file_sha256,
    load_checkpoint,
    load_state_strictly,
    load_tensors,
    locate,
    obtain,
)

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several blocks of a download
DIGEST = hashlib.sha256(CONTENT).hexdigest()


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
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def published(url: str, **changes: Any) -> WeightFile:
    values: dict[str, Any] = {
        "filename": "net.pth",
        "url": url,
        "sha256": DIGEST,
        "published_at": "https://example.org/net",
        "alternative": "without it, --detector other works",
        "option": "--detector-weights",
    }
    return WeightFile(**{**values, **changes})


def fails(call: Callable[[], object], *words: str) -> str:
    with pytest.raises(GenbenchError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GENBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "genbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "genbench"


@pytest.mark.parametrize("changes", [{"filename": "../x"}, {"filename": ""}, {"sha256": "12ab"},
                                     {"sha256": "not-a-digest"}])  # fmt: skip
def test_a_weight_file_is_checked_when_it_is_named(changes: dict[str, str]) -> None:
    fails(lambda: published("", **changes), "must be")


def test_locate_looks_at_given_then_cache_then_torch_hub_then_search(tmp_path: Path) -> None:
    weight = published("", search=(tmp_path / "more",))
    assert locate(weight, None) is None
    places = [
        put(tmp_path / "more" / "net.pth"),
        put(tmp_path / "torch" / "hub" / "checkpoints" / "net.pth"),
        put(weight.place),
    ]
    for index in reversed(range(3)):
        assert locate(weight, None) == places[index]
        places[index].unlink()
    mine = put(tmp_path / "mine" / "net.pth", b"my own")
    assert locate(weight, mine) == locate(weight, mine.parent) == obtain(weight, mine) == mine
    fails(lambda: locate(weight, tmp_path / "absent"), "absent", "--detector-weights")


def test_files_of_one_name_from_two_publishers_do_not_meet() -> None:
    one, other = published("", sha256="0" * 64), published("", sha256="1" * 64)
    assert one.place != other.place
    carried = published("", filename=f"net-{DIGEST[:8]}.pth")
    assert carried.place.name == carried.filename


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
    monkeypatch.setattr(downloads, "STALL_SECONDS", 0.1)
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
    monkeypatch.setattr(downloads, "CONNECT_SECONDS", 0.2)

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
from genbench.weights import WeightFile, file_sha256, obtain
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


def test_file_sha256_notices_a_changed_file(tmp_path: Path) -> None:
    path = put(tmp_path / "x")
    assert file_sha256(path) == DIGEST
    put(path, b"other")
    assert file_sha256(path) == hashlib.sha256(b"other").hexdigest()
    fails(lambda: file_sha256(tmp_path / "none"), "none")


STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, 2.0])}


def equal(found: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(STATE) and all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_tensors_load_from_torch_files_and_safetensors(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pth")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "a.safetensors")
    assert equal(load_tensors(tmp_path / "a.pth"))
    assert equal(load_tensors(tmp_path / "old.pth"))
    found = load_tensors(tmp_path / "a.safetensors")
    assert equal({key: found[key] for key in STATE})


def test_wrapped_states_are_named_not_guessed(tmp_path: Path) -> None:
    torch.save({"ema": STATE, "step": 3}, tmp_path / "a.pth")
    fails(lambda: load_tensors(tmp_path / "a.pth"), "a.pth", "ema, step")
    assert load_checkpoint(tmp_path / "a.pth")["step"] == 3
    torch.save([1, 2], tmp_path / "list.pth")
    fails(lambda: load_tensors(tmp_path / "list.pth"), "list.pth", "holds a list")


class Malicious:
    """Unpickling it makes a folder: the marker that code has run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    held = {**STATE, "trap": Malicious(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(held, protocol=2))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=form == "zip")
    fails(lambda: load_tensors(path), "evil.pth", "pickled Python objects")
    assert not marker.exists()
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert marker.exists(), "the trap itself must work, or this test shows nothing"


def test_damaged_files_are_one_clear_line(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "whole.pth")
    save_file(STATE, tmp_path / "whole.safetensors")
    for name in ("whole.pth", "whole.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for content in (b"", b"<html>not found</html>", whole[: len(whole) // 2], whole[:20]):
            path = put(tmp_path / f"cut-{name}", content)
            fails(partial(load_tensors, path), path.name)
    fails(lambda: load_tensors(tmp_path / "none.pth"), "none.pth", "not a file")


def test_states_load_strictly_both_ways() -> None:
    module = nn.Linear(3, 2)
    load_state_strictly(module, STATE, what="a layer")
    assert torch.equal(module.weight, STATE["weight"])
    before = module.weight.clone()
    wrong = {"weight": torch.zeros(3, 2), "extra": torch.zeros(1)}
    message = fails(
        lambda: load_state_strictly(module, wrong, what="a layer"), "a layer", "1 missing (bias)",
        "1 unexpected (extra)", "weight [3, 2] for [2, 3]",
    )  # fmt: skip
    assert len(message) < 300
    assert torch.equal(module.weight, before), "a state that does not fit changes nothing"
    many = {f"extra{index}": torch.zeros(1) for index in range(50)}
    message = fails(
        lambda: load_state_strictly(module, {**STATE, **many}, what="a layer"), "50 unexpected"
    )
    assert len(message) < 300
