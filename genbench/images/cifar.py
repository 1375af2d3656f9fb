"""CIFAR-10 and CIFAR-100 in the folders that their archives unpack to, which torchvision reads.

Krizhevsky, Learning multiple layers of features from tiny images (2009): rows of 3072 bytes, the
red, green and blue plane of 32x32 pixels after each other. The python version's pickles are read
by `runtime.array_pickles`, which runs nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError, UsageError
from genbench.images.arrays import ArrayImages
from genbench.images.sets import Labels
from genbench.runtime.array_pickles import PlainArray, read_array_pickle
from genbench.runtime.files import refuse_special

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


@dataclass(frozen=True)
class _Form:
    """One of the four archives."""

    folder: str  # as it is unpacked
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str  # the file of the classes' names
    label: str  # the key of the labels in a pickle
    label_bytes: int  # in front of a picture of the binary version; the last one is the label

    def files(self, split: str) -> tuple[str, ...]:
        return self.train if split == "train" else self.test


_FORMS = (
    _Form("cifar-10-batches-py", tuple(f"data_batch_{number}" for number in range(1, 6)),
          ("test_batch",), "batches.meta", "labels", 0),
    _Form("cifar-100-python", ("train",), ("test",), "meta", "fine_labels", 0),
    _Form("cifar-10-batches-bin", tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
          ("test_batch.bin",), "batches.meta.txt", "", 1),
    _Form("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", "", 2),
)  # fmt: skip


def cifar_folder(path: Path) -> Path | None:
    """The folder of batches that `path` is, or that lies in it; None where there is none.

    Raises UsageError where several lie in it.
    """
    if _form_of(path) is not None:
        return path
    within = [path / form.folder for form in _FORMS if _form_of(path / form.folder) is not None]
    if len(within) > 1:
        known = " and ".join(folder.name for folder in within)
        raise UsageError(f"{path} holds {known}: name one of them, as {within[0]}")
    return within[0] if within else None


def _form_of(folder: Path) -> _Form | None:
    for form in _FORMS:
        if (folder / form.names).is_file() and any(
            (folder / name).is_file() for name in form.train + form.test
        ):
            return form
    return None


class CifarImages(ArrayImages):
    """The images of CIFAR's training or test batches, in their order, in memory (150 MB at most).

    split: train or test. CIFAR-100's labels are the fine ones. Raises GenbenchError for a batch
    that is missing, damaged, or holds other things.
    """

    def __init__(self, folder: Path, split: str = "train") -> None:
        form = _form_of(folder)
        if form is None:
            raise UsageError(f"{folder} is no folder of CIFAR batches: name what CIFAR unpacks to")
        split = split or "train"
        if split not in ("train", "test"):
            raise UsageError(f"{folder}#{split}: CIFAR has #train and #test; name one of them")
        batches = [_batch(folder / name, form) for name in form.files(split)]
        rows = np.concatenate([rows for rows, _ in batches])
        labels = np.concatenate([labels for _, labels in batches])
        pictures = rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        super().__init__(pictures, f"{folder.resolve().name}#{split}", labels)
        self.class_names = _class_names(folder / form.names, form)


def _batch(path: Path, form: _Form) -> tuple[NDArray[np.uint8], Labels]:
    """Pixels uint8 [N, 3072] and labels int64 [N] of one file."""
    if not path.is_file():
        raise GenbenchError(f"{path} is missing: unpack CIFAR's archive again")
    refuse_special(path)
    return _pickled(path, form.label) if form.label else _binary(path, form.label_bytes)


def _pickled(path: Path, label: str) -> tuple[NDArray[np.uint8], Labels]:
    held = _texts(read_array_pickle(path))
    data, labels = held.get("data"), held.get(label)
    rows = data.values if isinstance(data, PlainArray) else None
    if rows is None or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _PIXELS:
        raise _damaged(path, f"its data are not uint8 [N, {_PIXELS}]")
    if not isinstance(labels, list) or len(labels) != len(rows) or not all(map(_is_class, labels)):
        raise _damaged(path, f"it has no list of {len(rows)} {label}")
    return rows, np.array(labels, np.int64)


def _is_class(label: object) -> bool:
    return type(label) is int and 0 <= label < 1 << 31


def _texts(held: object) -> Mapping[str, object]:
    """A pickle's dict by its keys, which Python 2 wrote as bytes."""
    if not isinstance(held, dict):
        return {}
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value
        for key, value in held.items()
    }


def _binary(path: Path, label_bytes: int) -> tuple[NDArray[np.uint8], Labels]:
    width = label_bytes + _PIXELS
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    if not len(data) or len(data) % width:
        raise _damaged(path, f"{len(data)} bytes are no whole number of {width} an image")
    rows = data.reshape(-1, width)
    return rows[:, label_bytes:], rows[:, label_bytes - 1].astype(np.int64)


def _class_names(path: Path, form: _Form) -> tuple[str, ...]:
    if not form.label:
        return tuple(path.read_text(errors="replace").split())
    held = _texts(read_array_pickle(path))
    names = held.get("label_names" if form.label == "labels" else "fine_label_names")
    if not isinstance(names, list):
        raise _damaged(path, "it has no list of names")
    return tuple(
        name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names
    )


def _damaged(path: Path, reason: str) -> GenbenchError:
    return GenbenchError(f"{path} is damaged or no file of CIFAR ({reason}): unpack it again")
