"""Weight files: found, named with care, and loaded without running what they carry."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from weight_files import DIGEST, empty_caches, fails, published, put

from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder
from genbench.weights.files import locate, obtain
from genbench.weights.loading import check_state, load_checkpoint, load_state_strictly, load_tensors


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_caches(tmp_path, monkeypatch)


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
    fails(
        lambda: load_tensors(tmp_path / "a.pth"),
        "a.pth", "its state dict is under ema; save it alone",
        "weights_only=True, map_location='cpu')['ema'], 'weights.pt')\"",
    )  # fmt: skip
    torch.save({"ema": STATE, "model": STATE}, tmp_path / "two.pth")
    fails(lambda: load_tensors(tmp_path / "two.pth"), "state dicts are under ema, model; save")
    torch.save({"epoch": 1, **STATE}, tmp_path / "beside.pth")
    fails(lambda: load_tensors(tmp_path / "beside.pth"), "it also holds epoch; save the state")
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


def test_what_a_file_announces_takes_no_memory(tmp_path: Path) -> None:
    legacy, zipped = tmp_path / "old.pth", tmp_path / "new.pth"
    torch.save({"a": torch.ones(1000)}, legacy, _use_new_zipfile_serialization=False)
    content = legacy.read_bytes()
    assert content.count(b"M\xe8\x03") == 2  # BININT2 1000: of the storage, and of the tensor
    more = b"J" + struct.pack("<i", 1 << 30)
    legacy.write_bytes(content.replace(b"M\xe8\x03", more))
    fails(lambda: load_tensors(legacy), "announces more numbers than it holds")
    legacy.write_bytes(b"\x80\x02\x8e" + struct.pack("<Q", 1 << 62))
    fails(lambda: load_tensors(legacy), "damaged or cut short")
    torch.save(STATE, zipped)
    content = zipped.read_bytes()
    at = content.index(b"PK\1\2") + 24
    zipped.write_bytes(content[:at] + struct.pack("<I", 1 << 31) + content[at + 4 :])
    fails(lambda: load_tensors(zipped), "claims to be longer than the file")


def test_a_network_is_compared_with_its_file_before_memory_is_taken(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = nn.Linear(1 << 20, 1 << 20)  # 4 TB
    fails(lambda: check_state(module, {"weight": torch.ones(2, 2)}, what="a layer"), "missing")


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
