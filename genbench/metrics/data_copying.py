"""C_T, the test of data copying: whether samples lie nearer to training images than new ones do."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate
from genbench.metrics.nearest import nearest_in
from genbench.metrics.settings import CellSettings

FEWEST = 20  # a cell counts when more samples than these lie in it
Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """Rows float32 [N, D] in the space of the cells, and the cell of each, int64 [N]."""

    rows: Tensor
    cells: Cells


def ct_score(
    training: Tensor, held_out: Tensor, samples: Tensor, settings: CellSettings
) -> Estimate:
    """C_T (Meehan et al. 2020, arXiv:2004.05675) of features float32 [T, D], [M, D] and [N, D].

    Mean over cells, weighted by the held-out rows in each, of a z-scored Mann-Whitney U: how much
    farther samples are from their nearest training row of the cell than held-out rows are. About a
    standard normal where both are alike; far below 0 samples are copies, far above they are unlike
    the data. Cells: k-means of the training rows, wider features brought to principal components
    of theirs, both by scikit-learn from one stream of random numbers of the seed, as dgm-eval's
    code draws after `numpy.random.seed`. GenbenchError without scikit-learn, where rows are fewer
    than components or cells, and as `ct_in_cells`.
    """
    value = ct_in_cells(*placed(training, held_out, samples, settings))
    return Estimate(value, interval="none: a z-score, of standard deviation 1 without copying")


def ct_in_cells(training: Placed, held_out: Placed, samples: Placed) -> float:
    """C_T of rows whose cells are known. GenbenchError for a cell without training or held-out
    rows, and where no cell has more than 20 samples."""
    cells = int(training.cells.max()) + 1
    weights, scores = [], []
    for cell in range(cells):
        learned, new, drawn = (
            part.rows[torch.from_numpy(part.cells == cell)]
            for part in (training, held_out, samples)
        )
        if not len(learned) or not len(new):
            raise GenbenchError(
                f"C_T: cell {cell + 1} of {cells} has {len(learned)} training images and "
                f"{len(new)} of the reference: add images, or leave C_T out"
            )
        if len(drawn) > FEWEST:
            weights.append(len(new))
            scores.append(rank_score(drawn, new, learned))
    if not scores:
        raise GenbenchError(
            f"C_T: no cell has more than {FEWEST} samples: add samples, or leave C_T out"
        )
    return float(np.average(scores, weights=weights))


def rank_score(samples: Tensor, held_out: Tensor, training: Tensor) -> float:
    """Z-score of the Mann-Whitney U of the samples' distances to training rows against the held-out
    rows' distances; below 0 where samples are nearer. float32 [N, D], [M, D], [T, D]."""
    distances = [nearest_in(side, training)[0] for side in (samples, held_out)]
    n, m = len(samples), len(held_out)
    ranks = rankdata(torch.cat(distances).numpy())[:n]
    statistic = float(ranks.sum()) - n * (n + 1) / 2
    # As the authors' code centres it; the deviation is without a term for ties.
    return (statistic - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)


def placed(
    training: Tensor, held_out: Tensor, samples: Tensor, settings: CellSettings
) -> tuple[Placed, Placed, Placed]:
    """The three sets, float32 [N, D] each, in the space of the cells. Raises as `ct_score`."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise GenbenchError(
            "C_T needs scikit-learn: pip install 'genbench[memorisation]'"
        ) from error
    width, count = training.shape[1], len(training)
    least = settings.components if width > settings.components else settings.cells
    if count < least:
        raise GenbenchError(
            f"C_T needs at least {least} images for its cells and there are {count}: add images"
        )
    generator = np.random.RandomState(settings.seed)
    sets = [side.numpy().astype(np.float64) for side in (training, held_out, samples)]
    if width > settings.components:
        axes = PCA(n_components=settings.components, random_state=generator).fit(sets[0])
        sets = [axes.transform(side) for side in sets]
    with warnings.catch_warnings():  # of fewer different images than cells: cells are then empty
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(n_clusters=settings.cells, n_init=10, random_state=generator).fit(sets[0])
    first, second, third = (
        Placed(torch.from_numpy(side).to(torch.float32), means.predict(side).astype(np.int64))
        for side in sets
    )
    return first, second, third
