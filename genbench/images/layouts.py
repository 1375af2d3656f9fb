"""Which reader a file, several files, or a folder wants."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.images.cifar import CifarImages, cifar_folder
from genbench.images.decoding import SUFFIXES
from genbench.images.folders import PictureFolder, PictureZip
from genbench.images.lists import ListedPictures
from genbench.images.lmdbs import DATA, LmdbPictures
from genbench.images.named_pictures import is_side_file
from genbench.images.npz import NpzImages
from genbench.images.sets import ImageSet
from genbench.images.tables import TablePictures
from genbench.images.tars import open_tars
from genbench.images.tfrecords import is_tfrecord, open_tfrecords
from genbench.images.videos import refuse_video

_TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_TABLES = (".parquet", ".arrow", ".feather")
_LISTS = (".txt", ".tsv", ".lst")
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "dev"}
_NUMBER = re.compile(r"[-_.]?\d+([-_]of[-_]\d+)?")
_KNOWN = (
    "an .npz, a .zip, a .tar, .parquet or .arrow, .tfrecord, .mdb, a .txt of paths, nor a folder"
)


def open_file(path: Path, part: str, *, crop: str, resolution: int) -> ImageSet:
    """A file that holds images. part: what stands behind # (a column, a key's ending), or empty.

    Raises GenbenchError or UsageError with the remedy.
    """
    if _shared_kind(path):
        return open_files([path], path.name, part, crop=crop, resolution=resolution)
    suffix = path.suffix.lower()
    if suffix in (".mdb", ".lmdb"):
        return LmdbPictures(path, prefix=part, crop=crop, resolution=resolution)
    refuse_part(path, part)
    if suffix == ".npz":
        return NpzImages(path)
    if suffix == ".zip":
        return PictureZip(path, crop=crop, resolution=resolution)
    if suffix in _LISTS:
        return ListedPictures(path, crop=crop, resolution=resolution)
    refuse_video(str(path))
    raise UsageError(f"{path} is not {_KNOWN}: convert it to one of them")


def open_files(
    paths: Sequence[Path], name: str, part: str, *, crop: str, resolution: int
) -> ImageSet:
    """Files of one kind that are one set: tars, Parquet or Arrow, TFRecords."""
    kinds = {_shared_kind(path) for path in paths}
    if kinds == {"tar"}:
        return open_tars(paths, name, extension=part, crop=crop, resolution=resolution)
    if kinds == {"table"}:
        return TablePictures(paths, name, column=part, crop=crop, resolution=resolution)
    if kinds == {"record"}:
        return open_tfrecords(paths, name, feature=part, crop=crop, resolution=resolution)
    raise UsageError(
        f"{name} are {len(paths)} files, but only tars, Parquet or Arrow files, or TFRecords, each "
        "alone, are one set together: name one kind, or a folder of pictures"
    )


def _shared_kind(path: Path) -> str:
    """What kind of files that come in several a file's name is of; empty for others."""
    name = path.name.lower()
    if name.endswith(_TARS):
        return "tar"
    if name.endswith(_TABLES):
        return "table"
    return "record" if is_tfrecord(path) else ""


def open_folder(path: Path, part: str, *, crop: str, resolution: int) -> ImageSet:
    """A folder: of an LMDB, of CIFAR, of datasets.save_to_disk, of shards, or of pictures."""
    entries = [entry for entry in os.scandir(path) if not is_side_file(entry.name)]
    names = sorted(entry.name for entry in entries)
    if DATA in names:
        return LmdbPictures(path, prefix=part, crop=crop, resolution=resolution)
    if (batches := cifar_folder(path)) is not None:
        return CifarImages(batches, part)
    if "dataset_dict.json" in names:
        raise UsageError(f"{path} holds several splits: name one of them, as {path}/train")
    if "state.json" in names and any(name.endswith(".arrow") for name in names):
        files = _saved_to_disk(path)
        return TablePictures(files, path.name, column=part, crop=crop, resolution=resolution)
    folders = {entry.name for entry in entries if _is_folder(entry)}
    if len(folders & _SPLITS) > 1 and folders <= _SPLITS:
        known = " and ".join(sorted(folders))
        raise UsageError(f"{path} holds {known}, no classes: name one of them, as {path}/train")
    shards = [path / name for name in names if _shared_kind(Path(name))]
    if shards and not folders and not any(name.lower().endswith(SUFFIXES) for name in names):
        _check_one_set(path, shards)
        name = path.resolve().name
        return open_files(shards, name, part, crop=crop, resolution=resolution)
    refuse_part(path, part)
    return PictureFolder(path, crop=crop, resolution=resolution)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, which the reader of folders names
        return False


def _check_one_set(path: Path, shards: Sequence[Path]) -> None:
    """Raises UsageError for shards of several sets, which differ in more than a number."""
    sets = {_NUMBER.sub("", shard.name): shard.name for shard in reversed(shards)}
    if len(sets) > 1:
        several = ", ".join(sorted(sets.values())[:4]) + ", …" * (len(sets) > 4)
        raise UsageError(
            f"{path} holds files of {len(sets)} sets ({several}): name those you mean by a pattern "
            f"in quotes, as '{path / next(iter(sets.values()))}' or '{path}/train-*'"
        )


def _saved_to_disk(path: Path) -> list[Path]:
    """The files of a folder of datasets.save_to_disk, in the order that its state.json gives."""
    place = path / "state.json"
    try:
        state = json.loads(place.read_bytes())
        names = [str(file["filename"]) for file in state["_data_files"]]
        indices = state.get("_indices_data_files") or state.get("_indices_files")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise GenbenchError(f"{place} does not list the data's files: save it again") from error
    if indices:
        raise GenbenchError(f"{path} is a selection of rows: save it after flatten_indices()")
    files = [path / Path(name).name for name in names]
    for file in files:
        if not file.is_file():
            raise GenbenchError(f"{file}, which {place} lists, is missing: copy it again")
    if not files:
        raise GenbenchError(f"{path} holds no rows: check the path")
    return files


def refuse_part(path: Path, part: str) -> None:
    """Raises UsageError for a # behind something that holds one kind of images alone."""
    if part:
        raise UsageError(
            f"{path}#{part}: # names a column, a feature, a file's ending or a beginning of keys, "
            "which this has not: leave it out"
        )
