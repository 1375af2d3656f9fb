"""Reference statistics and feature files: small arrays of .npz files, checked."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.images.npz import array_header, opened_npz


@dataclass(frozen=True)
class ReferenceStatistics:
    """Mean and covariance of a reference, as float64; `_s` of the spatial features, if known."""

    mu: NDArray[np.float64]  # [D]
    sigma: NDArray[np.float64]  # [D, D]
    mu_s: NDArray[np.float64] | None
    sigma_s: NDArray[np.float64] | None
    detector: str  # "inception" where the file does not say: ADM's files do not
    count: int | None  # images behind the statistics, where known


def _pair(
    path: Path, arrays: dict[str, NDArray[Any]], suffix: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mu and sigma of a file as float64, their shapes and values checked."""
    mu = np.asarray(arrays["mu" + suffix], np.float64)
    sigma = np.asarray(arrays["sigma" + suffix], np.float64)
    if mu.ndim != 1 or sigma.shape != (mu.shape[0],) * 2:
        raise GenbenchError(
            f"{path}: mu{suffix} {mu.shape} and sigma{suffix} {sigma.shape} do not belong "
            "together ([D] and [D, D] are wanted): write the file again"
        )
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise GenbenchError(f"{path}: mu{suffix} or sigma{suffix} holds NaN: write the file again")
    return mu, sigma


def npz_holds_images(path: Path) -> bool:
    """Whether the file has an `arr_0`."""
    with opened_npz(path) as archive:
        return "arr_0.npy" in archive.namelist()


def read_reference_statistics(path: Path) -> ReferenceStatistics | None:
    """Statistics of an ADM reference file; None when it has no `mu`.

    Reads `mu` [D], `sigma` [D, D] and, where there, `mu_s`, `sigma_s` (float32 or float64), and
    genbench's own `meta`. Raises GenbenchError for a wrong shape or NaN.
    """
    with opened_npz(path) as archive:
        if "mu.npy" not in archive.namelist():
            return None
        arrays = {
            name: _small_array(path, archive, name)
            for name in ("mu", "sigma", "mu_s", "sigma_s", "meta")
            if name + ".npy" in archive.namelist()
        }
    if "sigma" not in arrays or ("mu_s" in arrays) != ("sigma_s" in arrays):
        raise GenbenchError(f"{path} has a mu without its sigma: write the file again")
    mu, sigma = _pair(path, arrays, "")
    mu_s, sigma_s = _pair(path, arrays, "_s") if "mu_s" in arrays else (None, None)
    meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
    return ReferenceStatistics(
        mu, sigma, mu_s, sigma_s, meta.get("detector", "inception"), meta.get("count")
    )


def _small_array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    array_header(path, archive, name)  # refuses objects
    with archive.open(name + ".npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def read_features(path: Path) -> dict[str, NDArray[Any]]:
    """A feature file: `features` [N, D] and, where there, `spatial` and `logits` [N, …].

    Returns the arrays that are there, float32 or float64. Raises GenbenchError for anything else.
    """
    with opened_npz(path) as archive:
        arrays = {
            name: _small_array(path, archive, name)
            for name in ("features", "spatial", "logits")
            if name + ".npy" in archive.namelist()
        }
    if "features" not in arrays:
        raise GenbenchError(f"{path} has no `features` array: save one, float [N, D]")
    count = len(arrays["features"])
    for name, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) != count or count == 0:
            raise GenbenchError(
                f"{path}: {name} must be float [N, D] with the N of `features` ({count}), not "
                f"{array.dtype} {list(array.shape)}: correct it"
            )
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise GenbenchError(f"{path}: {name} holds NaN or infinity, first in row {row}")
    return arrays
