"""Parquet and Arrow files as the Hub's datasets has them, written by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from pictures_made import encoded, folder_of, labels, pixels

from genbench.errors import GenbenchError, UsageError
from genbench.images import libraries
from genbench.images.opening import open_image_set

NESTED = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
HUB = {b"huggingface": json.dumps({"info": {"features": {
    "image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"},
}}}).encode()}  # fmt: skip


def rows(first: int, count: int) -> Any:
    """As datasets writes a set with an Image and a ClassLabel."""
    numbers = range(first, first + count)
    pictures = [{"bytes": encoded(number), "path": f"{number}.png"} for number in numbers]
    columns = {
        "image": pyarrow.array(pictures, NESTED),
        "label": pyarrow.array([number % 3 for number in numbers], pyarrow.int64()),
    }
    return pyarrow.table(columns).replace_schema_metadata(HUB)


def plain(count: int, **columns: Sequence[Any]) -> Any:
    return pyarrow.table({"x": [encoded(number) for number in range(count)], **columns})


def parquet(path: Path, table: Any, **options: Any) -> Path:
    pyarrow.parquet.write_table(table, path, **options)
    return path


def saved_to_disk(root: Path, tables: Sequence[Any]) -> Path:
    """As datasets.save_to_disk leaves a split."""
    root.mkdir()
    names = [f"data-{at:05d}-of-{len(tables):05d}.arrow" for at in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with pyarrow.ipc.new_stream(root / name, table.schema) as stream:
            stream.write_table(table, max_chunksize=3)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (root / "state.json").write_text(json.dumps(state))
    (root / "dataset_info.json").write_text("{}")
    return root


@pytest.mark.parametrize("group", [3, 1000])
def test_parquet_of_the_hub(group: int, tmp_path: Path) -> None:
    wanted = pixels(folder_of(tmp_path / "f", [encoded(number) for number in range(150)]))
    path = parquet(tmp_path / "train.parquet", rows(0, 150), row_group_size=group)
    images = open_image_set(str(path))
    assert torch.equal(images.read(70, 150), wanted[70:])
    assert torch.equal(pixels(path), wanted)
    assert torch.equal(pixels(f"{path}[3:140:7]"), wanted[3:140:7])
    assert labels(path) == [number % 3 for number in range(150)]
    assert images.class_names == ("cat", "dog", "owl")


def test_several_files_are_one_set(tmp_path: Path) -> None:
    for at in range(3):
        parquet(tmp_path / f"train-{at:05d}-of-00003.parquet", rows(5 * at, 5), row_group_size=2)
    whole = parquet(tmp_path / "whole.parquet", rows(0, 15))
    spec = f"{tmp_path}/train-*.parquet"
    assert torch.equal(pixels(spec), pixels(whole))
    assert labels(spec) == labels(whole)
    assert open_image_set(spec).digest() == open_image_set(str(whole)).digest()
    with pytest.raises(UsageError, match=r"files of 2 sets.*train-00000-of-00003\.parquet"):
        open_image_set(str(tmp_path))
    whole.unlink()
    assert len(open_image_set(str(tmp_path))) == 15
    assert open_image_set(f"{tmp_path}/train-*.parquet[:5]", crop="adm", resolution=4).size == (
        4,
        4,
    )


def test_arrow_of_save_to_disk(tmp_path: Path) -> None:
    folder = saved_to_disk(tmp_path / "d", [rows(0, 7), rows(7, 4)])
    path = parquet(tmp_path / "same.parquet", rows(0, 11))
    assert torch.equal(pixels(folder), pixels(path))
    assert labels(folder) == labels(path)
    assert open_image_set(str(folder)).digest() == open_image_set(str(path)).digest()
    assert open_image_set(str(folder)).class_names == ("cat", "dog", "owl")
    pyarrow.feather.write_feather(rows(0, 11), tmp_path / "f.arrow", compression="lz4")
    assert torch.equal(pixels(tmp_path / "f.arrow"), pixels(path))
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(GenbenchError, match=r"data-00001-of-00002\.arrow.*is missing"):
        open_image_set(str(folder))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["d"]}')
    with pytest.raises(UsageError, match="several splits: name one"):
        open_image_set(str(tmp_path))


def test_rows_in_a_chosen_order_are_refused(tmp_path: Path) -> None:
    folder = saved_to_disk(tmp_path / "d", [rows(0, 7)])
    state = json.loads((folder / "state.json").read_text())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(GenbenchError, match=r"save it after flatten_indices"):
        open_image_set(str(folder))
    (folder / "state.json").write_text("[]")
    with pytest.raises(GenbenchError, match=r"state\.json does not list"):
        open_image_set(str(folder))


def test_columns_by_name(tmp_path: Path) -> None:
    table = plain(4, y=[encoded(9)] * 4, kind=["dog", "cat", "dog", "cat"], n=[3, 2, 1, 0])
    path = parquet(tmp_path / "a.parquet", table)
    with pytest.raises(UsageError, match=r"several columns .*: x, y; name one, as FILE#x"):
        open_image_set(str(path))
    assert labels(f"{path}#x") is None
    assert labels(f"{path}#x,n") == [3, 2, 1, 0]
    assert labels(f"{path}#x,kind") == [1, 0, 1, 0]
    assert open_image_set(f"{path}#x,kind").class_names == ("cat", "dog")
    assert int(pixels(f"{path}#y[1:2]")[0, 0, 3, 3]) == 9
    for spec, complaint in (
        ("#z", r"no column z; it has x \(binary\), y \(binary\), kind \(string\), n \(int64\)"),
        ("#n", "n holds no encoded pictures"),
        ("#x,z", "no column z"),
    ):
        with pytest.raises(UsageError, match=complaint):
            open_image_set(f"{path}{spec}")


CATEGORIES = pyarrow.array(["dog", "cat", "dog"]).dictionary_encode()


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("spec", ["", "#x,label"])
def test_categories_are_their_names(name: str, spec: str, tmp_path: Path) -> None:
    path, table = tmp_path / name, plain(3, label=CATEGORIES)
    if name == "a.parquet":
        parquet(path, table)
    else:
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    assert labels(f"{path}{spec}") == [1, 0, 1]
    assert open_image_set(f"{path}{spec}").class_names == ("cat", "dog")
    parquet(path, plain(3, label=pyarrow.array([5, 7, 5]).dictionary_encode()))
    assert labels(f"{path}{spec}") == [5, 7, 5]


@pytest.mark.parametrize(
    "column",
    [
        [True, False],
        [0.0, 1.0],
        [Decimal(1), Decimal(2)],
        [[1], [2]],
        [datetime(2026, 1, 1), datetime(2026, 1, 2)],
        pyarrow.array([b"a", b"b"]).dictionary_encode(),
    ],
)
def test_labels_of_another_kind_are_refused_or_left_out(column: Any, tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", plain(2, label=column, n=[1, 0]))
    for spec in ("", "#x", "#x,label"):
        with pytest.raises(
            UsageError, match=r"label \(.*\) holds no labels, .* or none, as FILE#x,"
        ):
            open_image_set(f"{path}{spec}")
    assert labels(f"{path}#x,n") == [1, 0]
    assert labels(f"{path}#x,") is None


def test_files_with_other_kinds_of_labels_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", plain(1, label=[1]))
    parquet(tmp_path / "b.parquet", plain(1, label=["cat"]))
    with pytest.raises(GenbenchError, match="other columns"):
        open_image_set(f"{tmp_path}/*.parquet")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (
            pyarrow.table({"a": [1], "b": ["x"]}),
            r"no image column .*it has a \(int64\), b \(string",
        ),
        (pyarrow.table({}), "holds no rows"),
        (plain(0).cast(pyarrow.schema({"x": pyarrow.binary()})), "holds no rows"),
        (plain(2, label=[1, None]), "1 of 2 rows have no label"),
        (plain(2, label=[1, -3]), "label holds -3"),
        (pyarrow.table({"x": [encoded(1), None]}), "row 1 holds no picture, at most a path"),
        (pyarrow.table({"x": [encoded(1), b"GIF89a"]}), "row 1 is no PNG, JPEG or WebP"),
        (pyarrow.table({"x": [encoded(1), encoded(1, 9)]}), "row 1 is 9x9 but the first is 8x8"),
    ],
)
def test_what_is_wrong_is_named(table: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(GenbenchError, match=complaint):
        pixels(parquet(tmp_path / "a.parquet", table))


def test_no_labels(tmp_path: Path) -> None:
    assert labels(parquet(tmp_path / "a.parquet", plain(2, label=[-1, -1]))) is None
    nothing = pyarrow.array([None, None], pyarrow.int64())
    assert labels(parquet(tmp_path / "b.parquet", plain(2, label=nothing))) is None


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_files_cut_short_or_changed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        parquet(path, rows(0, 20), compression="none", write_page_checksum=True)
    else:
        saved_to_disk(tmp_path / "d", [rows(0, 20)])
        (tmp_path / "d" / "data-00000-of-00001.arrow").rename(path)
    whole = path.read_bytes()
    for length in (0, 3, 9, len(whole) // 3, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        if name == "a.arrow" and length == len(whole) - 9:
            continue  # its end mark alone
        with pytest.raises(GenbenchError, match=rf"{name}.*(damaged|copy it again|empty)"):
            pixels(path)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with suppress(GenbenchError):  # whatever else it raises fails the test
            pixels(path)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", plain(1))

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(libraries, "import_module", missing)
    with pytest.raises(GenbenchError, match=r"needs pyarrow: pip install 'genbench\[data\]'"):
        open_image_set(str(path))
