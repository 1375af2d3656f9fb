"""Reference statistics: mean and covariance of .npz files, checked."""

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
_ASYMMETRY = 1e-4  # of the largest entry: far more than float32 rounds
_INDEFINITE = 1e-6  # of the Frobenius norm: rounding of float32 gives a tenth of it


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

    meta: None in files of others, such as ADM's, which do not say what made them. detector: what
    the format of such a file, or its publisher, says of that; empty: nothing. images: behind the
    statistics, where such a file tells.
    """

    mu: NDArray[np.float64]  # [D]
    sigma: NDArray[np.float64]  # [D, D]
    mu_s: NDArray[np.float64] | None
    sigma_s: NDArray[np.float64] | None
    meta: Meta | None
    detector: str = ""
    images: int | None = None

    @property
    def count(self) -> int | None:
        """Images behind the statistics, where known."""
        return self.meta.count if self.meta else self.images

    @property
    def widths(self) -> dict[str, int]:
        """Layer -> width of the statistics that there are."""
        spatial = {} if self.mu_s is None else {"spatial": len(self.mu_s)}
        return {"pool": len(self.mu), **spatial}


def checked_pair(
    path: Path, mu: NDArray[Any], sigma: NDArray[Any], suffix: str = ""
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mu [D] and sigma [D, D] of a file as float64.

    Raises GenbenchError for shapes that do not belong together, NaN or infinity, and a sigma that
    is no covariance: not symmetric, or with eigenvalues clearly below 0. One Cholesky factorisation
    tells the latter in a fraction of the time that eigenvalues take.
    """
    coarse = 4 * np.finfo(sigma.dtype).eps if sigma.dtype.kind == "f" else 0.0
    mu, sigma = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    if mu.ndim != 1 or sigma.shape != (mu.shape[0],) * 2:
        raise GenbenchError(
            f"{path}: mu{suffix} {mu.shape} and sigma{suffix} {sigma.shape} do not belong "
            "together ([D] and [D, D] are wanted): write the file again"
        )
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise GenbenchError(
            f"{path}: mu{suffix} or sigma{suffix} holds NaN or infinity: write the file again"
        )
    largest = float(np.abs(sigma).max(initial=0))
    if float(np.abs(sigma - sigma.T).max(initial=0)) > _ASYMMETRY * largest:
        raise GenbenchError(
            f"{path}: sigma{suffix} is not symmetric, so it is no covariance: write the file again"
        )
    lifted = sigma / (largest or 1.0)  # so that no square overflows
    lifted[np.diag_indices_from(lifted)] += max(_INDEFINITE, coarse) * np.linalg.norm(lifted) or 1.0
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        raise GenbenchError(
            f"{path}: sigma{suffix} has eigenvalues below 0, so it is no covariance: write the "
            "file again"
        ) from None
    return mu, sigma


def read_reference_statistics(path: Path) -> ReferenceStatistics | None:
    """Statistics of an .npz file; None when it has no `mu`.

    Reads `mu` [D] and `sigma` [D, D], real numbers, as EDM, clean-fid, pytorch-fid, StudioGAN and
    torch-fidelity's forks write them (float64, or float32 of clean-fid's mu, which is widened), and
    what ADM's files have beside: `mu_s`, `sigma_s`; and the `meta` of `genbench ref`; anybody
    else's is nothing to it. Raises GenbenchError as `checked_pair`, and for a wrong type.
    """
    with opened_npz(path) as archive:
        held = archive.namelist()
        if "mu.npy" not in held:
            return None
        arrays = {
            name: array_of(path, archive, name, "fiu", _LARGEST)
            for name in _STATISTICS
            if name + ".npy" in held
        }
        meta = _meta(path, archive) if "meta.npy" in held else None
    if "sigma" not in arrays or ("mu_s" in arrays) != ("sigma_s" in arrays):
        raise GenbenchError(f"{path} has a mu without its sigma: write the file again")
    mu, sigma = checked_pair(path, arrays["mu"], arrays["sigma"])
    mu_s = sigma_s = None
    if "mu_s" in arrays:
        mu_s, sigma_s = checked_pair(path, arrays["mu_s"], arrays["sigma_s"], "_s")
    return ReferenceStatistics(mu, sigma, mu_s, sigma_s, meta)


def _meta(path: Path, archive: zipfile.ZipFile) -> Meta | None:
    """genbench's own account of the statistics; None for what anybody else calls `meta`."""
    try:
        text = array_of(path, archive, "meta", "U", 1 << 20)
        return validated_json(str(text), Meta, name=path)
    except GenbenchError:
        return None


def array_of(
    path: Path, archive: zipfile.ZipFile, name: str, kinds: str, most: int
) -> NDArray[Any]:
    """An array [*any shape] of an archive, of a dtype of `kinds` ("f", "fiu", "U") and of `most`
    bytes at most. Raises GenbenchError for another, before memory is taken for it."""
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
