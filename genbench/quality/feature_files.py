"""Features that somebody else extracted: the files of several projects, checked."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.images.npz import opened_npz
from genbench.quality.statistics_files import array_of

_LARGEST = 1 << 40  # bytes of one array
_LOST = 1e-5  # of a feature's range, at most, by rounding to float32
# The features [N, D] of genbench's own files, clean-fid's *_kid.npz, StudioGAN's *_feats.npz and
# dgm-eval's --save.
_NAMES = ("features", "feats", "real_feats", "reps")


def holds_features(archive: zipfile.ZipFile) -> bool:
    """Whether an .npz file has an array of features under any of the known names."""
    return any(f"{name}.npy" in archive.namelist() for name in _NAMES)


def read_features(path: Path) -> dict[str, NDArray[Any]]:
    """A feature file: `features` [N, D] and, where there, `spatial` and `logits` [N, …].

    Takes genbench's own names, those of clean-fid (`feats`), StudioGAN (`real_feats`) and dgm-eval
    (`reps`) for the features, and torch-fidelity's `.pt`, one tensor. Returns the arrays that are
    there as float32: float16 is widened, float64 rounded. Raises GenbenchError for anything else,
    and for float64 whose differences float32 cannot hold.
    """
    if path.suffix.lower() in (".pt", ".pth"):
        return checked_features(path, {"features": _tensor(path)})
    with opened_npz(path) as archive:
        held = archive.namelist()
        own = next((name for name in _NAMES if name + ".npy" in held), "features")
        names = {"features": own, "spatial": "spatial", "logits": "logits"}
        arrays = {
            layer: array_of(path, archive, name, "f", _LARGEST)
            for layer, name in names.items()
            if name + ".npy" in held
        }
    return checked_features(path, arrays)


def _tensor(path: Path) -> NDArray[Any]:
    import torch

    from genbench.weights.loading import load_checkpoint

    held = load_checkpoint(path)
    if not isinstance(held, torch.Tensor):
        raise GenbenchError(
            f"{path} holds a {type(held).__name__}, not one tensor of features [N, D]: save one; "
            "statistics are read as torch-fidelity keeps them, mu and sigma as numpy arrays"
        )
    if held.dtype not in (torch.float16, torch.float32, torch.float64) or held.is_sparse:
        raise GenbenchError(
            f"{path} holds {'a sparse tensor' if held.is_sparse else held.dtype}, not a dense one "
            "of floating-point numbers: correct it"
        )
    if held.numel() * held.element_size() > held.untyped_storage().nbytes():
        raise GenbenchError(f"{path} holds a tensor that is larger than its data: save it whole")
    array: NDArray[Any] = held.detach().numpy()
    return array


def checked_features(path: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a feature file, all [N, …] of one N. Raises GenbenchError for others."""
    if "features" not in arrays:
        raise GenbenchError(f"{path} has no `features` array: save one, float [N, D]")
    count = len(arrays["features"]) if arrays["features"].ndim else 0
    for name, array in arrays.items():
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) != count or 0 in array.shape:
            raise GenbenchError(
                f"{path}: {name} must be float [N, D] with the N of `features` ({count}), not "
                f"{array.dtype} {list(array.shape)}: correct it"
            )
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise GenbenchError(
                f"{path}: {name} holds NaN or infinity, first in row {row}: leave such rows out, "
                "or compute them again"
            )
    return {name: _narrowed(path, name, array) for name, array in arrays.items()}


def _narrowed(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """[N, D] as float32. Raises GenbenchError where that loses what figures rest on."""
    if array.dtype.itemsize <= 4:
        return array.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = array.astype(np.float32)
    lost = np.abs(narrow - array).max(axis=0)
    spread = array.max(axis=0) - array.min(axis=0)
    if not np.isfinite(narrow).all() or (lost > _LOST * spread)[spread > 0].any():
        raise GenbenchError(
            f"{path}: {name} is float64 of which float32, in which figures are computed, would "
            "lose too much: take an offset off that all rows share, or scale all sets alike"
        )
    return narrow


def by_layer(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays [N, D] of a feature file under the names of the layers that they are of."""
    return {"pool" if name == "features" else name: array for name, array in arrays.items()}
