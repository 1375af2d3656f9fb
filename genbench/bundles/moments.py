"""Means and covariances of features in half the space: a symmetric matrix as its lower triangle."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.metrics.moments import Moments

Arrays = dict[str, NDArray[np.float64]]


def packed(name: str, moments: Moments) -> Arrays:
    """Arrays float64 of moments: `name`/mean [D], `name`/scatter [D (D + 1) / 2] by rows of the
    lower triangle, `name`/count [1] (0: not known)."""
    scatter = moments.scatter.numpy()
    lower = scatter[np.tril_indices(len(scatter))]
    return {
        f"{name}/mean": moments.mean.numpy(),
        f"{name}/scatter": lower,
        f"{name}/count": np.array([float(moments.count)]),
    }


def unpacked(name: str, arrays: Arrays) -> Moments:
    """Inverse of `packed`: mean [D] and scatter [D, D]. Raises GenbenchError for arrays that do
    not belong together."""
    try:
        mean, lower, count = (arrays[f"{name}/{part}"] for part in ("mean", "scatter", "count"))
    except KeyError as error:
        raise GenbenchError(
            f"the bundle has no moments {error}: it was not written whole"
        ) from None
    width = len(mean)
    whole_count = int(count[0]) if count.shape == (1,) and float(count[0]).is_integer() else -1
    if mean.ndim != 1 or lower.shape != (width * (width + 1) // 2,) or whole_count < 0:
        raise GenbenchError(f"the bundle's moments {name} are of no one shape: it is damaged")
    scatter = np.zeros((width, width))
    rows, columns = np.tril_indices(width)
    scatter[rows, columns] = lower
    scatter[columns, rows] = lower
    return Moments(whole_count, torch.from_numpy(mean.copy()), torch.from_numpy(scatter))
