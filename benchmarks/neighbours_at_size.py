"""Nearest neighbours beside the ways of the official codes: python benchmarks/neighbours_at_size.py

[--n 5000] [--dim 1024] [--rounds 2] [--only KEY]. Whole matrices of float64 distances by
scikit-learn (prdc, dgm-eval, pp_pr), trees (clipped) and torch.cdist (AuthPct) are written out here
as those codes call them. Calls are interleaved, the best of each is compared; memory is the peak of
a process of its own above its inputs (Linux only). --memory N: ours alone, N x N, its peak.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numeric import features
from numpy.typing import NDArray
from torch import Tensor

from genbench.metrics.copies import authentic_percent
from genbench.metrics.data_copying import rank_score
from genbench.metrics.nearest import nearest_in, nearest_other
from genbench.metrics.precision_recall import neighbour_figures
from genbench.metrics.probabilistic import p_support

Figures = tuple[float, ...]
Call = Callable[[Tensor, Tensor], Figures]
K = 5


def _matrices(fake: Tensor, real: Tensor) -> list[NDArray[np.float64]]:
    """Distances of real x real, fake x fake and real x fake, float64."""
    from sklearn.metrics import pairwise_distances

    one, two = real.numpy().astype(np.float64), fake.numpy().astype(np.float64)
    return [pairwise_distances(*pair) for pair in ((one, one), (two, two), (one, two))]


def _kth(distances: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.partition(distances, k, axis=1)[:, k]
    return found


def our_prdc(fake: Tensor, real: Tensor) -> Figures:
    found = neighbour_figures(fake, real, pr_neighbours=K, dc_neighbours=K, strict=True)
    return tuple(
        figure.value
        for figure in (found.precision, found.recall, found.density, found.coverage)
    )  # fmt: skip


def their_prdc(fake: Tensor, real: Tensor) -> Figures:
    own, others, cross = _matrices(fake, real)
    inside = cross < _kth(own, K)[:, None]
    return (
        float(inside.any(axis=0).mean()),
        float((cross < _kth(others, K)).any(axis=1).mean()),
        float(inside.sum(axis=0).mean() / K),
        float(inside.any(axis=1).mean()),
    )


def our_clipped(fake: Tensor, real: Tensor) -> Figures:
    found = neighbour_figures(fake, real, pr_neighbours=K, dc_neighbours=K)
    return found.clipped_density.value, found.clipped_coverage.value


def their_clipped(fake: Tensor, real: Tensor) -> Figures:
    """Trees, and the expected coverage by its sum over all counts, which dominates at last."""
    from scipy.special import betaln, gammaln, logsumexp
    from sklearn.neighbors import NearestNeighbors

    one, two = real.numpy().astype(np.float64), fake.numpy().astype(np.float64)
    distances, index = NearestNeighbors(n_neighbors=K + 1).fit(one).kneighbors(one)
    radii = distances[:, -1]
    clipped = np.minimum(radii, np.median(radii))
    tree = NearestNeighbors(algorithm="ball_tree").fit(two)
    near, rows = tree.radius_neighbors(one, radius=clipped.max())
    held = [row[far <= limit] for row, far, limit in zip(rows, near, clipped, strict=True)]
    around = np.bincount(np.concatenate(held), minlength=len(two))
    own = np.bincount(index[:, 1:][distances[:, 1:] <= clipped[:, None]], minlength=len(one))
    density = np.minimum(around / K, 1).mean() / np.minimum(own / K, 1).mean()
    nearest, _ = NearestNeighbors(n_neighbors=K).fit(two).kneighbors(one)
    covered = (nearest < radii[:, None]).mean()
    expected = [0.0] * K
    for count in range(K, len(two) + 1):
        j = np.arange(1, count + 1)
        terms = np.log(np.minimum(j, K)) + gammaln(count + 1) - gammaln(j + 1)
        terms += betaln(K + j, len(one) + count - K - j) - gammaln(count - j + 1)
        expected.append(math.exp(logsumexp(terms) - betaln(K, len(one) - K)) / K)
    return min(float(density), 1.0), float(np.searchsorted(expected, covered) / len(expected))


def our_p(fake: Tensor, real: Tensor) -> Figures:
    return tuple(p_support(*pair, neighbours=4).value for pair in ((fake, real), (real, fake)))


def their_p(fake: Tensor, real: Tensor) -> Figures:
    own, others, cross = _matrices(fake, real)
    found = []
    for matrix, axis in ((own, 0), (others, 1)):
        radius = 1.2 * _kth(matrix, 4).mean()
        missed = 1 - np.where(cross >= radius, 0, 1 - cross / radius)
        found.append(float((1 - missed.prod(axis=axis)).mean()))
    return tuple(found)


def our_authentic(fake: Tensor, real: Tensor) -> Figures:
    return (authentic_percent(nearest_in(fake, real), nearest_other(real)[0]).value,)


def their_authentic(fake: Tensor, real: Tensor) -> Figures:
    own = torch.cdist(real, real).fill_diagonal_(math.inf).min(dim=0).values
    nearest = torch.cdist(real, fake).min(dim=0)
    return (float(100 * (own[nearest.indices] < nearest.values).double().mean()),)


def our_ranks(fake: Tensor, real: Tensor) -> Figures:
    """The z-score of C_T over 64 dimensions, half of the real rows being held out."""
    real, fake = real[:, :64].contiguous(), fake[:, :64].contiguous()
    return (rank_score(fake, real[::2], real[1::2]),)


def their_ranks(fake: Tensor, real: Tensor) -> Figures:
    from scipy.stats import mannwhitneyu
    from sklearn.neighbors import NearestNeighbors

    rows = [side[:, :64].double().numpy() for side in (fake, real[::2], real[1::2])]
    tree = NearestNeighbors(n_neighbors=1).fit(rows[2])
    ours, new = (tree.kneighbors(side)[0][:, 0] for side in rows[:2])
    statistic = mannwhitneyu(ours, new, alternative="less")[0]
    n, m = len(ours), len(new)
    return (float((statistic - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)),)


CALLS: dict[str, tuple[Call, Call]] = {
    "prdc": (our_prdc, their_prdc),
    "clipped": (our_clipped, their_clipped),
    "pp_pr": (our_p, their_p),
    "authpct": (our_authentic, their_authentic),
    "ct": (our_ranks, their_ranks),
}


def compare(key: str, fake: Tensor, real: Tensor, rounds: int) -> None:
    best = [math.inf, math.inf]
    values: list[Figures] = [(), ()]
    for _ in range(rounds):
        for side, call in enumerate(CALLS[key]):
            start = time.perf_counter()
            values[side] = call(fake, real)
            best[side] = min(best[side], time.perf_counter() - start)
    print(f"{key}: ours {best[0]:.2f} s, official {best[1]:.2f} s, {best[1] / best[0]:.2f} x ours")
    for name, found in zip(("ours", "official"), values, strict=True):
        print(f"  {name:9}" + "  ".join(f"{value:.8g}" for value in found), flush=True)


def peak_of(key: str, side: int, options: argparse.Namespace, count: int) -> str:
    command = [sys.executable, __file__, "--n", str(count), "--dim", str(options.dim)]
    words = [*command, "--only", key, "--measure", str(side)]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def measure(key: str, side: int, fake: Tensor, real: Tensor) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # making the inputs had a peak too: forget it
    before = _peak()
    start = time.perf_counter()
    CALLS[key][side](fake, real)
    seconds = time.perf_counter() - start
    print(f"{(_peak() - before) / 2**20:.2f} GiB above its inputs, {seconds:.1f} s")


def _peak() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000, help="rows of each set")
    parser.add_argument("--dim", type=int, default=1024, help="width of the features")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help=", ".join(CALLS))
    parser.add_argument("--memory", type=int, default=0, help="rows of ours alone")
    parser.add_argument("--measure", type=int, default=-1, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    keys = [options.only] if options.only else list(CALLS)
    if options.memory:
        for key in keys:
            print(f"{key} {options.memory:,}: {peak_of(key, 0, options, options.memory)}")
        return
    fake, real = (features(options.n, options.dim, seed) for seed in (1, 2))
    if options.measure >= 0:
        measure(options.only, options.measure, fake, real)
        return
    print(f"{options.n} x {options.n}, width {options.dim}, {torch.get_num_threads()} threads")
    for key in keys:
        compare(key, fake, real, options.rounds)
        for side, name in enumerate(("ours", "official")):
            print(f"  {name:9}{peak_of(key, side, options, options.n)}", flush=True)


if __name__ == "__main__":
    main()
