"""Reference statistics and feature files: small arrays of .npz files, checked."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.images.npz import array_header, opened_npz
from genbench.runtime.arrays import read_array
from genbench.runtime.validated import validated_json

_STATISTICS = ("mu", "sigma", "mu_s", "sigma_s")
_LARGEST = 1 << 30  # bytes of one array of statistics: far more than any detector's


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What `genbench ref` writes beside statistics: what made them, of how many images."""

    detector: str
    identity: Mapping[str, str]  # of the detector
    count: Annotated[int, Ge(1)]
    size: tuple[int, int] | None = None  # (H, W) of the images
    images_digest: str = ""
    genbench: str


@dataclass(frozen=True)
class ReferenceStatistics:
    """Mean and covariance of a reference, as float64; `_s` of the spatial features, if known.

    meta: None in files of others, such as ADM's, which do not say what made them.
    """

    mu: NDArray[np.float64]  # [D]
    sigma: NDArray[np.float64]  # [D, D]
    mu_s: NDArray[np.float64] | None
    sigma_s: NDArray[np.float64] | None
    meta: Meta | None

    @property
    def count(self) -> int | None:
        """Images behind the statistics, where known."""
        return self.meta.count if self.meta else None

    @property
    def widths(self) -> dict[str, int]:
        """Layer -> width of the statistics that there are."""
        spatial = {} if self.mu_s is None else {"spatial": len(self.mu_s)}
        return {"pool": len(self.mu), **spatial}


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

    Reads `mu` [D], `sigma` [D, D] and, where there, `mu_s`, `sigma_s` (real numbers), and the
    `meta` of `genbench ref`; anybody else's is nothing to it. Raises GenbenchError for a wrong type
    or shape, or NaN.
    """
    with opened_npz(path) as archive:
        held = archive.namelist()
        if "mu.npy" not in held:
            return None
        arrays = {
            name: _array(path, archive, name, "fiu", _LARGEST)
            for name in _STATISTICS
            if name + ".npy" in held
        }
        meta = _meta(path, archive) if "meta.npy" in held else None
    if "sigma" not in arrays or ("mu_s" in arrays) != ("sigma_s" in arrays):
        raise GenbenchError(f"{path} has a mu without its sigma: write the file again")
    mu, sigma = _pair(path, arrays, "")
    mu_s, sigma_s = _pair(path, arrays, "_s") if "mu_s" in arrays else (None, None)
    return ReferenceStatistics(mu, sigma, mu_s, sigma_s, meta)


def _meta(path: Path, archive: zipfile.ZipFile) -> Meta | None:
    """genbench's own account of the statistics; None for what anybody else calls `meta`."""
    try:
        text = _array(path, archive, "meta", "U", 1 << 20)
        return validated_json(str(text), Meta, name=path)
    except GenbenchError:
        return None


def _array(path: Path, archive: zipfile.ZipFile, name: str, kinds: str, most: int) -> NDArray[Any]:
    """An array of an archive, of a dtype of `kinds` ("f", "fiu", "U") and of `most` bytes at most.
    Raises GenbenchError for another, before memory is taken for it."""
    header = array_header(path, archive, name)  # refuses objects
    if header is None or header.dtype.kind not in kinds:
        held = "nothing" if header is None else f"{header.dtype}"
        wanted = "floating-point numbers" if kinds == "f" else "real numbers"
        raise GenbenchError(f"{path}: {name} holds {held}, not {wanted}: write the file again")
    if header.size > most or not header.whole:
        raise GenbenchError(
            f"{path}: {name} {list(header.shape)} is not as long as it says, or far too long: "
            "write the file again"
        )
    return read_array(archive, name, header)


def read_features(path: Path) -> dict[str, NDArray[Any]]:
    """A feature file: `features` [N, D] and, where there, `spatial` and `logits` [N, …].

    Returns the arrays that are there, float32 or float64. Raises GenbenchError for anything else.
    """
    with opened_npz(path) as archive:
        arrays = {
            name: _array(path, archive, name, "f", 1 << 40)
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
