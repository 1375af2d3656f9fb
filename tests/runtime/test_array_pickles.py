"""Pickles of plain arrays: what numpy writes comes back; nothing else is run, made or believed."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genbench.errors import GenbenchError
from genbench.runtime.array_pickles import PlainArray, is_bare_pickle, read_array_pickle

ARRAYS = {
    "float64": np.arange(6.0).reshape(2, 3),
    "float32": np.arange(6, dtype=np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
    "whole": np.arange(3),
}


class Canary:
    """An object whose pickle would make a folder, for whoever ran it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def read(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return read_array_pickle(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_numpy_writes_comes_back(tmp_path: Path, protocol: int) -> None:
    held = {"count": np.int64(5), "share": np.float64(0.5), "inner": ARRAYS, "text": ["é", None]}
    found = read(tmp_path / "a.pkl", pickle.dumps(held, protocol))
    assert is_bare_pickle(tmp_path / "a.pkl")
    assert (found["count"], found["share"], found["text"]) == (5, 0.5, ["é", None])
    for name, array in ARRAYS.items():
        assert isinstance(found["inner"][name], PlainArray)
        values = found["inner"][name].values
        assert values.dtype == array.dtype
        assert np.array_equal(values, array)


def _reduced(module: str, name: str, arguments: bytes) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"R."


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps(OrderedDict(a=1), 2), "asks for 'collections.OrderedDict'"),
        (pickle.dumps(np.array([{}], object), 2), "numbers of the kind 'O8'"),
        (pickle.dumps(np.zeros(2, ">f8"), 2), "little-endian"),
        (pickle.dumps(Path("x"), 4), "asks for 'pathlib"),
        (pickle.dumps({1, 2}, 4), "uses the operation EMPTY_SET"),
        (_reduced("builtins", "eval", b"(X\x01\x00\x00\x001t"), "asks for 'builtins.eval'"),
        (_reduced("numpy", "ndarray", b"(K\x05\x85t"), "makes an array of no bytes"),
        (b"\x80\x02Q.", "uses the operation BINPERSID"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}b.", "alters array"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "no pickle"),
        (b"\x80\x02" + b"(" * 30_000 + b"t" * 30_000 + b".", "more parts"),
        (b"\x80\x02K\x01r\xff\xff\xff\xff.", "numbers its parts too high"),
        (b"\x80\x02", "no pickle"),
        (b"", "no pickle"),
    ],
)
def test_all_else_is_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(GenbenchError, match=said) as caught:
        read(tmp_path / "a.pkl", data)
    assert "nothing of it was run" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_of_the_file_is_run(tmp_path: Path, protocol: int) -> None:
    held = {"fid": {"mu": np.zeros(2), "sigma": Canary(tmp_path / "made")}}
    with pytest.raises(GenbenchError, match="mkdir"):
        read(tmp_path / "a.pkl", pickle.dumps(held, protocol))
    assert not (tmp_path / "made").exists()


def test_a_bomb_makes_no_more_than_the_file_holds(tmp_path: Path) -> None:
    """One text of a megabyte, turned into bytes again and again from the memo."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(GenbenchError, match="more bytes than it holds"):
        read(tmp_path / "a.pkl", b"\x80\x02](" + text + again * 50 + b"e.")
    # an array that says it is larger than its bytes
    small = pickle.dumps(np.zeros((2, 2)), 4)
    at = small.index(b"K\x02K\x02\x86")
    with pytest.raises(GenbenchError, match="has 32 bytes"):
        read(tmp_path / "b.pkl", small[:at] + b"K\xffK\xff\x86" + small[at + 5 :])
