"""Leases: one holder at a time, renewed while it lives, taken over when it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from genbench.errors import GenbenchError
from genbench.runtime.leases import Leases
from genbench.runtime.stores import FolderStore, Store, store_at

ELSEWHERE = b"another-host 1"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return store_at(tmp_path if request.param == "folder" else Path(f"memory://{uuid.uuid4().hex}"))


def is_free(store: Store, **times: float) -> bool:
    with Leases(store, **times).held("a") as held:
        return held


def test_a_lease_has_one_holder_and_is_given_up(store: Store) -> None:
    with Leases(store).held("a") as held:
        assert held
        assert not is_free(store)
    assert is_free(store)
    assert store.names() == []


def test_a_lease_is_given_up_when_work_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Leases(store).held("a"):
        raise ZeroDivisionError
    assert is_free(store)


def test_what_is_not_renewed_is_taken_over(store: Store) -> None:
    store.create("a", ELSEWHERE)
    assert not is_free(store)
    time.sleep(0.02)
    assert is_free(store, life=0.01)


def test_what_is_renewed_is_not(store: Store) -> None:
    with Leases(store, renewal=0.01).held("a"):
        store.write("a", ELSEWHERE)
        time.sleep(0.3)
        assert not is_free(store, life=0.25)


def test_a_dead_holder_on_this_host_is_seen_at_once(store: Store) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with Leases(store).held("a"):
        host = (store.read("a") or b"").split()[0]
    store.create("a", host + b" %d" % os.getpid())
    assert not is_free(store)
    store.write("a", host + b" %d" % gone.pid)
    assert is_free(store)


@pytest.mark.parametrize("process", ["9" * 23, "9" * 5000, "²", "", "-1", "1 2"])
def test_a_lease_of_odd_content_is_waited_for(process: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create("a", f"{socket.gethostname()} {process}".encode())
    assert not is_free(store)
    os.utime(tmp_path / "a", (0, 0))
    assert is_free(store)


def test_clocks_of_hosts_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.create("a", ELSEWHERE)
    for wrong in (0.0, 1e10):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        assert not is_free(store)
    os.utime(tmp_path / "a", (0, 0))
    assert is_free(store)


def test_a_store_that_takes_no_lease_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(GenbenchError, match="cannot write"),
        Leases(FolderStore(tmp_path / "file")).held("a"),
    ):
        pass
