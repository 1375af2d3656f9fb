"""One reader of every published kind of reference statistics, told apart by what is in the file."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.images.npz import opened_npz
from genbench.quality.feature_files import by_layer, holds_features, read_features
from genbench.quality.statistics_files import (
    ReferenceStatistics,
    checked_pair,
    read_reference_statistics,
)
from genbench.runtime.archives import claims_too_much
from genbench.runtime.array_pickles import (
    PlainArray,
    array_pickle_of,
    is_bare_pickle,
    read_array_pickle,
)

# What EDM2's calculate_metrics.py calls the sets of a .pkl, and which detector makes each.
_EDM2 = {"fid": "inception", "fd_dinov2": "dinov2-vit-l-14"}
_LARGEST_PICKLE = 1 << 30  # bytes of data.pkl in a file of torch's
_PERSISTENT = b"ctorch\n"  # how a pickle of torch's begins to name the class of a storage


@dataclass(frozen=True)
class HeldStatistics:
    """What a file holds in the place of a reference's images: statistics, or features [N, D] by
    layer. images: whether it holds (some of) the images too."""

    statistics: ReferenceStatistics | None = None
    features: Mapping[str, NDArray[Any]] | None = None
    images: bool = False


def read_held(path: Path, detector: str) -> HeldStatistics | None:
    """Statistics or features of a reference file; None for what holds neither (a set of images).

    detector: whose statistics are taken of a file with those of several, EDM2's. Read are .npz
    files (see `read_reference_statistics` and `read_features`), EDM2's .pkl, and torch-fidelity's
    cached .pt. Raises GenbenchError for a file that is damaged or holds other things, and for one
    without statistics of that detector.
    """
    if not path.is_file() or path.suffix.lower() == ".zip":
        return None
    if is_bare_pickle(path):
        return HeldStatistics(_of_pickle(path, read_array_pickle(path), detector))
    if not zipfile.is_zipfile(path):
        return None
    with opened_npz(path) as archive:
        held = archive.namelist()
        inner = next((name for name in held if name.rpartition("/")[2] == "data.pkl"), "")
        if inner:
            data = _member(path, archive, inner)
        elif "mu.npy" not in held:
            features = holds_features(archive) and "arr_0.npy" not in held
            return HeldStatistics(features=by_layer(read_features(path))) if features else None
    if not inner:
        return HeldStatistics(read_reference_statistics(path), images="arr_0.npy" in held)
    if _PERSISTENT in data:
        return HeldStatistics(features=by_layer(read_features(path)))
    return HeldStatistics(_of_pickle(path, array_pickle_of(data, path), detector))


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """The pickle inside of a file of torch's. Raises GenbenchError for one that is far too long."""
    info = archive.getinfo(name)
    if info.file_size > _LARGEST_PICKLE or claims_too_much(archive, info):
        raise GenbenchError(f"{path}: its data.pkl is longer than statistics are: fetch it again")
    return archive.read(info)


def _of_pickle(path: Path, held: object, detector: str) -> ReferenceStatistics:
    """Statistics of what a pickle held: one set {mu, sigma}, or EDM2's sets by metric."""
    if not isinstance(held, dict):
        raise GenbenchError(f"{path} holds no statistics: name a file with mu and sigma")
    if "mu" in held:
        return _of_set(path, held, "", None)
    sets = {_EDM2[key]: value for key, value in held.items() if key in _EDM2}
    if detector not in sets:
        raise GenbenchError(
            f"{path} holds statistics of {' and '.join(sets) or 'no detector'}, not of {detector}: "
            "name a protocol or a --detector that it is for, or another reference"
        )
    count = held.get("num_images")
    known = type(count) is int and count > 1
    return _of_set(path, sets[detector], detector, count if known else None)


def _of_set(path: Path, held: object, detector: str, images: int | None) -> ReferenceStatistics:
    arrays = []
    for name in ("mu", "sigma"):
        value = held.get(name) if isinstance(held, dict) else None
        if not isinstance(value, PlainArray) or value.values is None:
            raise GenbenchError(f"{path}: {name} is no array of numbers: fetch it again")
        if value.values.dtype.kind not in "fiu" or math.prod(value.values.shape) == 0:
            raise GenbenchError(f"{path}: {name} holds no real numbers: fetch it again")
        arrays.append(value.values)
    mu, sigma = checked_pair(path, arrays[0], arrays[1])
    return ReferenceStatistics(mu, sigma, None, None, None, detector, images)
