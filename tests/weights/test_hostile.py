"""Files whose digest nobody publishes, fetched from servers that misbehave; digests pinned."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hostile_server import (
    CERTIFICATE,
    Answer,
    Hostile,
    chunked,
    claiming,
    cutting,
    heedless,
    page,
    partial,
    redirecting,
    saying,
    serving,
    stalling,
)
from weight_files import CONTENT, DIGEST, empty_caches, fails, put

from genbench.errors import UsageError
from genbench.weights import connections, transfer
from genbench.weights.addresses import addresses_of, can_be_trusted, hub_address, mirrors
from genbench.weights.files import WeightFile, brought, matches, obtain, verified_copy
from genbench.weights.pins import lock_file, pin, read_pins
from genbench.weights.sizes import announced_size

OTHER = bytes(reversed(CONTENT))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_caches(tmp_path, monkeypatch)
    for name in ("GENBENCH_MIRROR", "GENBENCH_LOCK", "GENBENCH_ALLOW_HTTP", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(transfer, "BUSY_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[Hostile]:
    with serving() as told:
        told.files["net.pth"] = CONTENT
        told.etags["net.pth"] = '"one"'
        yield told


def unpublished(server: Hostile, name: str = "net.pth") -> WeightFile:
    url = server.url(name)
    return WeightFile(filename=name, url=url, sha256="", published_at=url)


def part_of(file: WeightFile) -> Path:
    return file.place.with_name(f"{file.filename}.part")


def leftovers(file: WeightFile) -> set[str]:
    return {path.name for path in file.place.parent.iterdir() if path.suffix != ".lock"}


def zipped(size: int = 300_000) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("arr_0.npy", CONTENT[:size])
    return made.getvalue()


def test_the_first_download_pins_its_digest_and_says_so(server: Hostile) -> None:
    file, notes = unpublished(server), list[str]()
    assert not matches(file, put(file.place.with_name("other")))
    path = obtain(file, told=notes.append)
    assert path == file.place
    assert path.name == "net.pth"
    assert path.read_bytes() == CONTENT
    assert leftovers(file) == {"net.pth", "other"}
    assert len(notes) == 1
    assert DIGEST in notes[0]
    assert str(lock_file()) in notes[0]
    assert read_pins()[file.url].sha256 == DIGEST
    assert read_pins()[file.url].bytes == len(CONTENT)
    assert matches(file, path)
    assert obtain(file, told=notes.append) == path
    assert len(notes) == len(server.asked) == 1


def test_a_later_difference_is_an_error_that_names_both_digests(server: Hostile) -> None:
    file = unpublished(server)
    obtain(file).unlink()
    server.files["net.pth"] = OTHER
    told = fails(lambda: obtain(file), DIGEST, sha256(OTHER).hexdigest(), str(lock_file()))
    assert "if that is meant, remove the entry" in told
    assert leftovers(file) == set()
    put(file.place, OTHER)
    fails(lambda: obtain(file), DIGEST, sha256(OTHER).hexdigest(), "delete it and run again")
    fails(
        lambda: pin(file.url, sha256=sha256(OTHER).hexdigest(), size=1), DIGEST,
        sha256(OTHER).hexdigest(),
    )  # fmt: skip
    lock_file().unlink()  # as the error says
    assert obtain(file).read_bytes() == OTHER  # put there by hand: pinned as it is
    assert read_pins()[file.url].sha256 == sha256(OTHER).hexdigest()


def test_a_project_keeps_its_own_pins(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_LOCK", str(tmp_path / "project" / "genbench.lock"))
    obtain(unpublished(server))
    kept = json.loads((tmp_path / "project" / "genbench.lock").read_text())
    assert kept["files"][server.url("net.pth")]["sha256"] == DIGEST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "genbench.lock"),
        ('{"files": {"u": {"sha256": "00", "bytes": 1, "pinned": ""}}}', "64 hexadecimal digits"),
        ('{"format": 2}', "format"),
    ],
)
def test_a_broken_lock_file_is_one_line(server: Hostile, text: str, words: str) -> None:
    put(lock_file(), text.encode())
    fails(lambda: obtain(unpublished(server)), words)


def test_many_processes_pin_at_once() -> None:
    digests = {f"https://h/{number}": f"{number:064x}" for number in range(20)}
    threads = [
        threading.Thread(target=pin, args=(url,), kwargs={"sha256": digest, "size": 1})
        for url, digest in digests.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {url: found.sha256 for url, found in read_pins().items()} == digests


def test_a_cut_transfer_goes_on_if_the_file_is_the_same(server: Hostile) -> None:
    server.answers = [cutting(1_000_000), cutting(500_000)]
    assert obtain(unpublished(server)).read_bytes() == CONTENT
    assert server.wanted == [None, "bytes=1000000-", "bytes=1500000-"]
    assert [one.headers.get("if-range") for one in server.asked] == [None, '"one"', '"one"']


def test_a_file_that_changes_meanwhile_is_never_mixed(server: Hostile) -> None:
    def change(told: Hostile, request: Any) -> None:
        cutting(1_000_000)(told, request)
        told.files["net.pth"], told.etags["net.pth"] = OTHER, '"two"'

    server.answers = [change]
    assert obtain(unpublished(server)).read_bytes() == OTHER
    assert server.wanted == [None, "bytes=1000000-"]  # and got all of it, since If-Range failed


def test_a_server_that_ignores_the_condition_is_seen_through(server: Hostile) -> None:
    def change(told: Hostile, request: Any) -> None:
        cutting(1_000_000)(told, request)
        told.files["net.pth"], told.etags["net.pth"] = OTHER, '"two"'

    server.answers = [change, heedless]
    assert obtain(unpublished(server)).read_bytes() == OTHER
    assert server.wanted == [None, "bytes=1000000-", None]


def test_without_anything_to_tell_versions_apart_it_starts_over(server: Hostile) -> None:
    del server.etags["net.pth"]
    server.answers = [cutting(1_000_000)]
    assert obtain(unpublished(server)).read_bytes() == CONTENT
    assert server.wanted == [None, None]


def test_a_file_that_changes_each_time_is_given_up(server: Hostile) -> None:
    def change(told: Hostile, request: Any) -> None:
        told.etags["net.pth"] = f'"{len(told.asked)}"'
        cutting(1_000_000, heed=False)(told, request)

    server.always = change
    fails(lambda: obtain(unpublished(server)), "sends another net.pth each time")
    assert len(server.asked) < 10


def test_a_part_shorter_than_asked_for_is_gone_on_from(server: Hostile) -> None:
    begins = [2_900_000, 2_950_000, 3_000_000, 3_050_000]
    server.answers = [cutting(begins[0]), *(partial(at, at + 50_000) for at in begins[:3])]
    assert obtain(unpublished(server)).read_bytes() == CONTENT
    assert server.wanted == [None, *(f"bytes={at}-" for at in begins)]


@pytest.mark.parametrize(
    "part",
    [(999_999, 1_100_000), (1_000_000, 1_100_000, "bytes 1000000-1099999/1050000"),
     (1_000_000, 1_100_000, "")],
)  # fmt: skip
def test_a_part_of_another_place_is_thrown_away(server: Hostile, part: Any) -> None:
    server.answers = [cutting(1_000_000), partial(*part)]
    assert obtain(unpublished(server)).read_bytes() == CONTENT
    assert server.wanted == [None, "bytes=1000000-", None]


def test_a_part_of_an_unknown_whole_is_not_pinned(server: Hostile) -> None:
    server.answers = [chunked(1_000_000), partial(1_000_000, 1_100_000, "bytes 1000000-1099999/*")]
    fails(lambda: obtain(unpublished(server)), "does not say how large net.pth is")
    assert not read_pins()


def test_a_drip_of_bytes_is_no_progress(server: Hostile) -> None:
    server.always = cutting(10)
    fails(lambda: obtain(unpublished(server)), "broke at byte 30 of", "run again to resume")
    server.always = None
    assert obtain(unpublished(server)).read_bytes() == CONTENT
    assert server.wanted[-1] == "bytes=30-"


def test_a_length_too_long_is_a_broken_transfer(server: Hostile) -> None:
    server.always, server.ranges = claiming(len(CONTENT) + 5), False
    file = unpublished(server)
    fails(lambda: obtain(file), f"broke at byte {len(CONTENT)} of {len(CONTENT) + 5}")
    assert not file.place.exists()
    assert not read_pins()
    server.always = None
    assert obtain(file).read_bytes() == CONTENT


def test_a_length_too_short_is_seen_in_what_came(server: Hostile) -> None:
    server.files["batch.npz"] = zipped()
    server.always = claiming(100_000)
    file = unpublished(server, "batch.npz")
    fails(lambda: obtain(file), "cut short", "removed")
    assert leftovers(file) == set()
    assert not read_pins()
    server.always = None
    assert obtain(file).read_bytes() == zipped()


def test_a_safetensors_cut_short_is_not_pinned(server: Hostile) -> None:
    import torch
    from safetensors.torch import save

    server.files["w.safetensors"] = save({"a": torch.arange(1000)})
    server.answers = [claiming(4000)]
    file = unpublished(server, "w.safetensors")
    fails(lambda: obtain(file), "no whole safetensors file")
    assert obtain(file).read_bytes() == server.files["w.safetensors"]


def test_without_a_length_nobody_can_tell_the_end(server: Hostile) -> None:
    server.always = claiming(None)
    fails(lambda: obtain(unpublished(server)), "does not say how large net.pth is")


@pytest.mark.parametrize(
    ("answer", "words", "asked"),
    [
        (saying(404), "answers 404", 1),
        (saying(403), "answers 403", 1),
        (saying(500), "the server answers 500", 3),
        (saying(429, Retry_After="0"), "the server answers 429", 3),
        (page, "sends a web page, not net.pth", 1),
        (stalling(0.5), "stopped answering", 3),
        (redirecting("/net.pth"), "redirects in a circle, or too often", 11),
        (redirecting("ftp://127.0.0.1/net.pth"), "which is not https", 1),
        (redirecting("http://example.invalid/net.pth"), "could change it", 1),
        (redirecting("http://[::1"), "redirects to no address", 1),
        (saying(503, Retry_After="²"), "the server answers 503", 3),
        (claiming("²"), "does not say how large net.pth is", 1),
        (partial(0, 1000), "sends a part of net.pth, unasked", 1),
    ],
)  # fmt: skip
def test_refusals_are_one_line(
    server: Hostile, monkeypatch: pytest.MonkeyPatch, answer: Answer, words: str, asked: int
) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.1)
    server.always = answer
    file = unpublished(server)
    told = fails(lambda: obtain(file), words)
    assert f"download {file.url}" in told
    assert len(server.asked) <= asked
    assert not file.place.exists()


def test_a_server_that_is_busy_is_asked_again(server: Hostile) -> None:
    server.answers = [saying(503), saying(429, Retry_After="0")]
    assert obtain(unpublished(server)).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Hostile) -> None:
    file = unpublished(server)
    server.answers = [cutting(1_000_000), saying(416)]
    assert obtain(file).read_bytes() == CONTENT
    assert server.wanted == [None, "bytes=1000000-", None]


def test_a_page_that_calls_itself_a_file_is_not_pinned(server: Hostile) -> None:
    server.files["net.pth"] = b"\n<html>Log in</html>"
    fails(lambda: obtain(unpublished(server)), "a web page, not the file")
    server.files["net.pth"] = b""
    fails(lambda: obtain(unpublished(server)), "the file is empty")
    assert not read_pins()


def test_redirects_to_another_path_are_followed(server: Hostile) -> None:
    server.files["moved.bin"] = CONTENT
    server.answers = [redirecting("/moved.bin")]
    assert obtain(unpublished(server)).read_bytes() == CONTENT


def test_https_is_not_left(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with serving(tls=True) as safe:
        safe.files["net.pth"] = CONTENT
        file = unpublished(safe)
        safe.answers = [redirecting(server.url("net.pth"))]
        fails(lambda: obtain(file), "which is not https")
        assert not server.asked
        safe.answers = [redirecting("/net.pth")]
        assert obtain(file).read_bytes() == CONTENT
        monkeypatch.delenv("SSL_CERT_FILE")  # now a stranger's certificate
        fails(lambda: obtain(unpublished(safe, "x.pth")), "certificate verify failed")


def test_plain_http_needs_a_digest_or_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(map(can_be_trusted, ("https://h/x", "http://127.0.0.1:1/x", "file:///x")))
    assert not any(map(can_be_trusted, ("http://example.invalid/x", "ftp://127.0.0.1/x")))
    url = "http://example.invalid/x"
    file = WeightFile(filename="x", url=url, sha256="", published_at=url)
    fails(lambda: obtain(file), "is not https", "GENBENCH_ALLOW_HTTP=1")
    monkeypatch.setenv("GENBENCH_ALLOW_HTTP", "1")
    assert can_be_trusted(url)


def test_a_disk_that_fills_up_midway_keeps_what_came(
    server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = unpublished(server), Path.open

    def small(self: Path, *arguments: Any, **options: Any) -> Any:
        opened = real(self, *arguments, **options)
        if self.suffix == ".part" and arguments[:1] != ("rb",):
            write = opened.write

            def limited(block: bytes) -> int:
                if opened.tell() + len(block) > 1_500_000:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return int(write(block))

            return _Writing(opened, limited)
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", small)
        fails(lambda: obtain(file), "no space left while writing", "what was finished is kept")
    have = part_of(file).stat().st_size
    assert 0 < have <= 1_500_000
    assert obtain(file).read_bytes() == CONTENT
    assert server.wanted == [None, f"bytes={have}-"]


class _Writing:
    """A file whose `write` is another."""

    def __init__(self, file: Any, write: Any) -> None:
        self._file, self.write = file, write

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


ELSEWHERE = """
import sys
from genbench.weights.files import WeightFile, obtain
file = WeightFile(filename="net.pth", url=sys.argv[1], sha256="", published_at="")
print(obtain(file, told=lambda text: print("pinned", file=sys.stderr)))
"""


def test_processes_that_fetch_at_once_share_one_download_and_one_pin(server: Hostile) -> None:
    command = [sys.executable, "-c", ELSEWHERE, server.url("net.pth")]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [worker.communicate(timeout=60) for worker in workers]
    assert {out.strip() for out, _ in told} == {str(unpublished(server).place)}
    assert "".join(err for _, err in told).count("pinned") == 1
    assert server.wanted == [None]


def test_files_of_one_name_do_not_meet() -> None:
    def folder(url: str) -> str:
        return WeightFile(filename="f", url=url, sha256="", published_at="").relative.parent.name

    assert folder("https://h/a/f") == folder("https://h/a/g")  # a configuration beside its weights
    others = ("https://h/b/f", "https://i/a/f", "https://h/a/f?id=1", "https://h/a/f?id=2")
    assert len({folder("https://h/a/f"), *map(folder, others)}) == 5
    assert folder("http://[::1]:1/f").startswith("--1-")


def test_sizes_are_asked_without_fetching(server: Hostile) -> None:
    assert announced_size([server.url("net.pth")], verified=False) == len(CONTENT)
    assert [one.method for one in server.asked] == ["HEAD"]
    assert announced_size([server.url("none"), server.url("net.pth")], verified=False)
    fails(lambda: announced_size([server.url("none")], verified=False), "answers 404")
    fails(lambda: announced_size([], verified=False), "no address")


def test_mirrors_come_first_and_are_held_to_the_pin(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = unpublished(server)
    put(tmp_path / "mirror" / "net.pth")
    put(tmp_path / "filled" / file.relative)
    for folder in ("mirror", "filled"):  # by its bare name, and as --to leaves it
        monkeypatch.setenv("GENBENCH_MIRROR", f"{tmp_path / 'mirror'}-none; {tmp_path / folder}")
        with pytest.raises(UsageError, match="neither a folder nor a URL"):
            mirrors()
        monkeypatch.setenv("GENBENCH_MIRROR", f" ;{tmp_path / folder}")
        obtain(file).unlink()
    assert not server.asked
    put(tmp_path / "filled" / file.relative, OTHER)
    assert obtain(file).read_bytes() == CONTENT  # from its own address
    assert server.wanted == [None]


def test_the_lock_file_of_a_mirror_is_believed(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, mirror = unpublished(server), tmp_path / "mirror"
    put(mirror / "net.pth", OTHER)
    pin(file.url, sha256=DIGEST, size=1, path=mirror / "genbench.lock")
    monkeypatch.setenv("GENBENCH_MIRROR", str(mirror))
    server.always = saying(404)
    told = fails(lambda: obtain(file), sha256(OTHER).hexdigest(), DIGEST, "genbench.lock has it")
    assert "answers 404" in told
    put(mirror / "net.pth")
    assert obtain(file).read_bytes() == CONTENT
    with serving() as other:
        other.files = {"files/net.pth": CONTENT, "files/genbench.lock": b"[]"}
        monkeypatch.setenv("GENBENCH_MIRROR", f"{other.address}/files")
        lock_file().unlink()
        fails(lambda: brought(file, to=tmp_path / "x"), "/files/genbench.lock")
        del other.files["files/genbench.lock"]
        assert brought(file, to=tmp_path / "x").path.read_bytes() == CONTENT


def test_the_hub_gets_its_token_and_nobody_else_does(
    server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = hub_address("hf:me/model/sub dir/net.pth@v1")
    assert url == "https://huggingface.co/me/model/resolve/v1/sub%20dir/net.pth"
    assert "refs%2Fpr%2F1" in hub_address("hf:me/model/net.pth@refs/pr/1")
    for wrong in ("hf:net.pth", "hf:me/model", "hf:me/model/../x@1", "hf:me/model/x@"):
        with pytest.raises(UsageError, match="hf:OWNER/REPO/FILE@REVISION"):
            hub_address(wrong)
    with serving() as store:
        store.files["blob"] = CONTENT
        monkeypatch.setenv("HF_ENDPOINT", server.address + "/")
        monkeypatch.setenv("HF_TOKEN", "secret")
        file = WeightFile(filename="net.pth", url=url, sha256="", published_at=url)
        assert addresses_of(url, file.relative) == [
            f"{server.address}/me/model/resolve/v1/sub%20dir/net.pth"
        ]
        server.always = redirecting(store.url("blob"))
        assert obtain(file).read_bytes() == CONTENT
        assert server.asked[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in store.asked[0].headers
        assert read_pins().keys() == {url}  # of the Hub, whichever endpoint sent it
        server.always = saying(401)
        file.place.unlink()
        fails(lambda: obtain(file), "401", "HF_TOKEN")


def test_what_is_here_is_held_against_its_digest(server: Hostile) -> None:
    file = unpublished(server)
    assert verified_copy(file) is None
    put(file.place, b"put there by hand")
    notes: list[str] = []
    assert verified_copy(file, told=notes.append) == file.place
    assert "found in its place" in notes[0]
    put(file.place, b"and changed")
    fails(lambda: verified_copy(file), "is damaged or another file")
