"""ADM's .npz files written in a stream: sample batches and reference files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.sets import ImageSet
from genbench.runtime.files import replacing


def write_samples(
    path: Path, images: Iterable[Tensor], count: int, labels: NDArray[Any] | None = None
) -> None:
    """Write an ADM sample batch in a stream: `arr_0` uint8 [N, H, W, 3], `arr_1` int64 [N].

    images: batches uint8 [n, 3, H, W], `count` images in all. labels: whole numbers [N]. The file
    appears whole or not at all. Raises GenbenchError when another number of images comes.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _write_images(archive, images, count)
        if labels is not None:
            _write_array(archive, "arr_1", np.asarray(labels, np.int64))


def write_reference(
    path: Path,
    images: ImageSet | None,
    statistics: Mapping[str, NDArray[Any]],
    meta: Mapping[str, Any],
) -> None:
    """Write an ADM reference file: the statistics, `arr_0` (and `arr_1`), and `meta` as JSON.

    statistics: by their names in the file, float64 `mu` [D], `sigma` [D, D], and `mu_s`, `sigma_s`;
    or features [N, D].
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        if images is not None:
            _write_images(archive, images, len(images))
            if images.labels is not None:
                _write_array(archive, "arr_1", images.labels)
        for name, array in statistics.items():
            _write_array(archive, name, array)
        _write_array(archive, "meta", np.array(json.dumps(dict(meta), sort_keys=True)))


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(_member(name), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name + ".npy")  # dated 1980, so equal content makes equal files


def _write_images(archive: zipfile.ZipFile, images: Iterable[Tensor], count: int) -> None:
    written = 0
    with archive.open(_member("arr_0"), "w", force_zip64=True) as member:
        for batch in images:
            pictures = np.ascontiguousarray(batch.permute(0, 2, 3, 1).numpy())
            if not written:
                shape = (count, *pictures.shape[1:])
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
            member.write(pictures.tobytes())
            written += len(pictures)
    if written != count:
        raise GenbenchError(f"{written} of {count} images came: nothing was written")
