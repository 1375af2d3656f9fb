"""Record files at an address: every writing an object, read as one file."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import pytest
from made_records import speed

from genbench import api
from genbench.errors import GenbenchError, UsageError
from genbench.records.deletion import delete_runs
from genbench.records.lines import to_line
from genbench.records.provenance import describe_environment
from genbench.records.store import append_records, check_appendable, read_records
from genbench.runtime.devices import device_of
from genbench.runtime.distributed import World
from genbench.runtime.files import lasts
from genbench.runtime.stores import AddressStore

ONE, TWO, THREE = (speed(name, 10.0) for name in ("one", "two", "three"))


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """As the command line makes it of an address."""
    folder = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}"
    return Path(f"{folder}/runs/records.jsonl")


def test_records_are_added_and_read_in_order(path: Path) -> None:
    assert read_records(path) == []
    with pytest.raises(UsageError, match="there is no record file"):
        api.read_records(path)
    check_appendable(path)
    append_records(path, [ONE, TWO])
    append_records(path, [THREE])
    append_records(path, [])
    assert read_records(path) == [ONE, TWO, THREE]
    assert list(api.read_records(path)) == [ONE, TWO, THREE]
    assert not lasts(path)  # no pictures lie beside it
    assert not Path(path.parts[0]).exists()  # nor is it taken for a folder of this machine


def test_a_file_that_somebody_put_there_is_read_first(path: Path) -> None:
    append_records(path, [TWO])
    scheme, _, rest = path.parent.as_posix().partition(":/")
    folder = AddressStore(f"{scheme}:///{rest}" if scheme == "file" else f"{scheme}://{rest}")
    folder.write("records.jsonl", to_line(ONE).encode())  # without the end of its line
    assert read_records(path) == [ONE, TWO]


def test_runs_are_deleted_wherever_they_lie(path: Path) -> None:
    append_records(path, [ONE])
    append_records(path, [TWO, THREE])
    gone = {ONE.run, TWO.run}
    left = [record for record in (ONE, TWO, THREE) if record.run not in gone]
    assert delete_runs(path, gone) == 3 - len(left)
    assert read_records(path) == left
    assert delete_runs(path, {"none"}) == 0


def test_a_line_that_is_none_is_named(path: Path) -> None:
    append_records(path, [ONE])
    parts = AddressStore(f"memory://{uuid.uuid4().hex}/r.jsonl.parts")
    parts.write("1.jsonl", b"nonsense\n")
    bad = Path(parts.address.removesuffix(".parts"))
    with pytest.raises(GenbenchError, match=r"r\.jsonl, line 1 is not a genbench record"):
        read_records(bad)


def test_no_password_comes_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["genbench", "fid", "--store", "s3://key:secret@bucket/x?token=abc"]
    monkeypatch.setattr(sys, "argv", words)
    command = describe_environment(device_of("cpu", World())).command
    assert command == ("genbench", "fid", "--store", "s3://bucket/x")
