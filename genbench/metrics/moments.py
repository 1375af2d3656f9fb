"""Mean and scatter of a stream of features in float64, the same bits however it is cut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError

MOMENT_BLOCK = 1000  # rows; block b always holds samples b*1000 .. b*1000+999


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter (the sum of outer products of the centred rows) of features.

    mean: float64 [D], scatter: float64 [D, D], symmetric. count 0 means that the statistics were
    published without one; `scatter` then holds the covariance itself.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    def covariance(self) -> Tensor:
        """Unbiased covariance (ddof 1), float64 [D, D]; GenbenchError for a single row."""
        if self.count == 0:
            return self.scatter
        if self.count < 2:
            raise GenbenchError(
                f"a covariance needs 2 samples at least and there is {self.count}; add samples"
            )
        return self.scatter / (self.count - 1)

    def merged(self, later: Moments) -> Moments:
        """Moments of both sets of rows together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        if 0 in (self.count, later.count):
            raise GenbenchError("statistics without a count cannot be merged; recompute them")
        count = self.count + later.count
        delta = later.mean - self.mean
        between = delta * math.sqrt(self.count * later.count / count)
        scatter = (self.scatter + later.scatter).addr_(between, between)
        return Moments(count, self.mean + delta * (later.count / count), scatter)

    @classmethod
    def from_statistics(cls, mu: Any, sigma: Any, count: int | None) -> Moments:
        """Published `mu` [D] and `sigma` [D, D] (numpy or torch, any float dtype) as moments.

        sigma is a covariance with ddof 1, as the reference files of ADM hold. GenbenchError when
        shapes disagree, a value is not finite, or sigma is not symmetric with a diagonal >= 0.
        """
        mean = torch.as_tensor(np.asarray(mu)).to(torch.float64, copy=True)
        covariance = torch.as_tensor(np.asarray(sigma)).to(torch.float64, copy=True)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise GenbenchError(
                f"mu {tuple(mean.shape)} and sigma {tuple(covariance.shape)} do not belong "
                "together; expected [D] and [D, D] of one file"
            )
        if not (mean.isfinite().all() and covariance.isfinite().all()):
            raise GenbenchError("mu or sigma is not finite; recompute the reference statistics")
        asymmetry = float((covariance - covariance.T).abs().max()) if len(mean) else 0.0
        size = float(covariance.abs().max()) if len(mean) else 0.0
        if asymmetry > 1e-4 * size or bool((covariance.diagonal() < 0).any()):
            raise GenbenchError("sigma is not a covariance; recompute the reference statistics")
        covariance = (covariance + covariance.T) / 2
        if count is None:
            return cls(0, mean, covariance)
        return cls(count, mean, covariance * (count - 1))


def require_finite(features: Tensor, *, first_row: int = 0, what: str = "features") -> None:
    """GenbenchError naming the first row of `features` [N, D] that holds NaN or infinity, counted
    from `first_row`."""
    # The sum is finite whenever all entries are, but for overflow: cheap, and no [N, D] mask.
    if bool(features.sum(dtype=torch.float64).isfinite()):
        return
    for start in range(0, len(features), MOMENT_BLOCK):
        bad = ~features[start : start + MOMENT_BLOCK].isfinite().all(dim=1)
        if bool(bad.any()):
            row = first_row + start + int(bad.nonzero()[0])
            raise GenbenchError(
                f"the {what} of sample {row} are not finite; look for NaN or infinity in that "
                "sample's image or in the detector's weights"
            )


def stream_moments(chunks: Iterable[Tensor], counts: Sequence[int]) -> dict[int, Moments]:
    """Moments of the first n rows, for each n of `counts`, from one pass.

    chunks: tensors [n_i, D], any float dtype and any n_i; where they are cut does not change a
    bit, because rows are always merged in the same blocks of MOMENT_BLOCK. Reads no more than
    max(counts) rows and holds O(D^2) numbers. GenbenchError when the stream is too short, changes
    its width or holds NaN or infinity.
    """
    wanted = sorted(set(counts))
    if not wanted or wanted[0] < 1:
        raise GenbenchError(f"sample counts must be 1 or more, not {list(counts)}")
    found: dict[int, Moments] = {}
    merged: Moments | None = None
    for start, rows in _blocks(chunks, wanted):
        for count in (n for n in wanted if start < n < start + len(rows)):
            found[count] = _append(merged, rows[: count - start])
        merged = _append(merged, rows)
        if merged.count in wanted:
            found[merged.count] = merged
    return found


def _append(merged: Moments | None, rows: Tensor) -> Moments:
    """`merged` and one more block; the block's own moments first, so that no order matters."""
    values = rows.numpy()  # numpy: its X^T X is a symmetric product, half the work of a general one
    mean = values.mean(axis=0)  # [D]
    centred = values - mean
    scatter = centred.T @ centred  # [n, D] -> [D, D]
    block = Moments(len(values), torch.from_numpy(mean), torch.from_numpy(scatter))
    return block if merged is None else merged.merged(block)


def _blocks(chunks: Iterable[Tensor], wanted: Sequence[int]) -> Iterable[tuple[int, Tensor]]:
    """(first row, float64 rows) for each block of the first max(wanted) rows; reused buffer."""
    last = wanted[-1]
    seen = 0
    buffer = torch.empty(0, 0, dtype=torch.float64)
    for chunk in chunks:
        if chunk.ndim != 2 or (seen and chunk.shape[1] != buffer.shape[1]):
            raise GenbenchError(
                f"features of shape {tuple(chunk.shape)} after {seen} rows; expected [N, D] of "
                "one width: use one detector and one layer"
            )
        if not seen:
            buffer = torch.empty(MOMENT_BLOCK, chunk.shape[1], dtype=torch.float64)
        chunk = chunk[: last - seen]
        require_finite(chunk, first_row=seen)
        while len(chunk):
            start = seen % MOMENT_BLOCK
            part = chunk[: MOMENT_BLOCK - start]
            buffer[start : start + len(part)] = part
            chunk, seen = chunk[len(part) :], seen + len(part)
            filled = start + len(part)
            if filled == MOMENT_BLOCK or seen == last:
                yield seen - filled, buffer[:filled]
        if seen == last:
            return
    raise GenbenchError(
        f"{last} samples were asked for and there are {seen}; add samples or ask for {seen}"
    )
