"""Neighbours, clipped metrics and memorisation: what genbench computes for golden numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity_cases import Check
from parity_metric_cases import MetricCase
from torch import Tensor

from genbench.metrics import adm_float16
from genbench.metrics.adm_float16 import half_radii
from genbench.metrics.clipped import expected_coverage, uncalibrated_coverage
from genbench.metrics.copies import authentic_percent
from genbench.metrics.data_copying import Cells, Placed, ct_in_cells, placed, rank_score
from genbench.metrics.feature_likelihood import (
    Sets,
    divergence,
    generalisation_gap,
    overfit_percent,
    precision_divergence,
    score,
)
from genbench.metrics.nearest import nearest_in, nearest_other, neighbour_distances
from genbench.metrics.neighbour_search import exact_verdicts
from genbench.metrics.precision_recall import NeighbourFigures, neighbour_figures
from genbench.metrics.probabilistic import p_support
from genbench.metrics.settings import CellSettings, LikelihoodSettings

Found = float | NDArray[Any]
USUAL = LikelihoodSettings()
PRDC = ("precision", "recall", "density", "coverage")


class Computed:
    """The three sets of a case, and what genbench makes of them."""

    def __init__(self, case: MetricCase) -> None:
        self.case = case
        self.real, self.fake, self.test = (
            torch.from_numpy(case.features(side)) for side in ("real", "fake", "test")
        )

    def figures(self, k: int, *, strict: bool = False, half: bool = False) -> NeighbourFigures:
        return neighbour_figures(
            self.fake, self.real, pr_neighbours=k, dc_neighbours=k, strict=strict, half=half
        )

    @cached_property
    def authentic(self) -> float:
        nearest = nearest_in(self.fake, self.real)
        return authentic_percent(nearest, nearest_other(self.real)[0]).value

    @cached_property
    def sets(self) -> Sets:
        return Sets(self.real, self.test, self.fake)


def computed(case: MetricCase) -> dict[str, float]:
    """Our values of those of the case's keys that are of neighbours or of memorisation."""
    return {key: float(value()) for key, value in _all(Computed(case)) if key in case.values}


def array_checks(case: MetricCase) -> Iterator[Check]:
    """Our arrays against those of official functions, where the README states a tolerance."""
    for key, value in _all(Computed(case)):
        if key not in case.arrays:
            continue
        allowed = next((share for part, share in _ARRAYS.items() if part.search(key)), None)
        if allowed is not None:
            official = case.arrays[key].astype(np.float64)
            error = np.abs(np.asarray(value(), dtype=np.float64) - official).max()
            yield Check(f"{key} (array)", float(error / np.abs(official).max()), allowed)


# Largest errors as a share of the largest value. float16's depend on the order of a sum.
_ARRAYS = {
    re.compile(r"adm_fp16_off.*/radii_"): 1e-5,
    re.compile(r"adm.*/radii_"): 1e-2,
    re.compile(r"clipped/.*/f_coverage"): 1e-9,
    re.compile(r"dgm_eval/ct_.*_cells"): 1e-2,
}
Keyed = Iterator[tuple[str, Callable[[], Found]]]


def _all(its: Computed) -> Keyed:
    for group in (_neighbours, _clipped, _likelihood, _copying, _adm):
        yield from group(its)


def _keys(its: Computed) -> list[str]:
    return [*its.case.values, *its.case.arrays]


def _settings(its: Computed, pattern: str) -> list[tuple[str, str]]:
    """(prefix, number) of the keys that begin so, each once."""
    found = (re.match(pattern, key) for key in _keys(its))
    return list(dict.fromkeys((match[0], match[1]) for match in found if match))


def _neighbours(its: Computed) -> Keyed:
    for prefix, k in _settings(its, r"(?:dgm_eval/prdc_|prdc_0\.2/)k(\d+)(?:_f64|_f32)?/"):
        figures = its.figures(int(k), strict=True)
        for name in PRDC:
            yield prefix + name, partial(_value, figures, name)
    yield "fld/Precision", lambda: its.figures(3, strict=True).precision.value
    yield "fld/Recall", lambda: its.figures(3, strict=True).recall.value
    for prefix, k in _settings(its, r"pp_pr/kth(\d+)_a1\.2/"):
        yield prefix + "p_precision", partial(_p, its.fake, its.real, int(k))
        yield prefix + "p_recall", partial(_p, its.real, its.fake, int(k))
    for prefix, k in _settings(its, r"clipped_repo/prdc_sym_ppr_k(\d+)/"):
        figures = its.figures(int(k))
        for name in ("precision", "recall"):
            yield prefix + name.capitalize(), partial(_value, figures, name)
        yield prefix + "P-precision", partial(_p, its.fake, its.real, int(k))
        yield prefix + "P-recall", partial(_p, its.real, its.fake, int(k))


def _value(figures: NeighbourFigures, name: str) -> float:
    found: float = getattr(figures, name).value
    return found


def _p(rows: Tensor, support: Tensor, k: int) -> float:
    return p_support(rows, support, neighbours=k).value


def _clipped(its: Computed) -> Keyed:
    for prefix, number in _settings(its, r"clipped/K(\d+)/"):
        k = int(number)
        figures = its.figures(k)
        yield prefix + "ClippedDensity", partial(_value, figures, "clipped_density")
        yield prefix + "ClippedDensity_can_exceed_one", partial(_unlimited_density, its, k)
        yield prefix + "ClippedCoverage", partial(_value, figures, "clipped_coverage")
        yield prefix + "ClippedCoverage_without_g", partial(_uncalibrated, its, k)
        yield prefix + "f_coverage", partial(expected_coverage, k, len(its.real), len(its.fake))


def _unlimited_density(its: Computed, k: int) -> float:
    clipped = exact_verdicts(its.fake, its.real, (k, k)).clipped
    return float((clipped.balls / k).clamp(max=1).mean() / (clipped.own / k).clamp(max=1).mean())


def _uncalibrated(its: Computed, k: int) -> float:
    return uncalibrated_coverage(exact_verdicts(its.fake, its.real, (k, k)).verdicts.held, k)


def _likelihood(its: Computed) -> Keyed:
    yield "fld/FLD_test_seed0", lambda: divergence(its.sets, USUAL).value
    yield "fld/FLD_train_seed0", lambda: divergence(its.sets, USUAL, of="training").value
    for key, baseline in _settings(its, r"fld/FLD_test_baseline_given_([\d.]+)_seed0"):
        yield key, partial(_given_baseline, its, float(baseline))
    yield "fld/FLD_gap_seed0", lambda: generalisation_gap(its.sets, USUAL).value
    yield "fld/FLD_P_seed0", lambda: precision_divergence(its.sets, USUAL).value
    n = min(len(its.real) // 2, len(its.test), len(its.fake))
    sets = Sets(its.real[:n], its.test[:n], its.fake[:n])
    yield "dgm_eval/fls", lambda: score(sets, its.real[n : 2 * n]).value
    yield "dgm_eval/fls_overfit", lambda: overfit_percent(sets, its.real[n : 2 * n]).value
    yield "dgm_eval/fls_rows_used", lambda: float(n)


def _given_baseline(its: Computed, baseline: float) -> float:
    return divergence(its.sets, USUAL, baseline=baseline).value


def _copying(its: Computed) -> Keyed:
    yield "dgm_eval/authpct", lambda: its.authentic
    yield "fld/AuthPct", lambda: its.authentic - 50
    half = (len(its.test) + 1) // 2
    roles = {
        "ct": (its.real, its.test, its.fake),
        "ct_modified": (its.fake, its.test, its.real),
        "ct_test": (its.test[:half], its.test[half:], its.fake),
    }
    for name, (training, held_out, samples) in roles.items():
        for prefix, seed in _settings(its, rf"dgm_eval/{name}_seed(\d+)/"):
            three = placed(training, held_out, samples, CellSettings(seed=int(seed)))
            yield prefix + "value", partial(ct_in_cells, *three)
            yield (
                prefix + "zu_global",
                partial(rank_score, *(side.rows for side in reversed(three))),
            )
            yield prefix + "zu_cells", partial(_by_cell, *three)
            for part, side in zip(("train", "test", "gen"), three, strict=True):
                yield prefix + f"{part}_cells", partial(_cells, side)


def _cells(side: Placed) -> Cells:
    return side.cells


def _by_cell(training: Placed, held_out: Placed, samples: Placed) -> NDArray[Any]:
    """The z-score of each cell; 0 of one without samples, as the official code."""
    scores = []
    for cell in range(int(training.cells.max()) + 1):
        drawn, new, learned = (
            side.rows[torch.from_numpy(side.cells == cell)]
            for side in (samples, held_out, training)
        )
        scores.append(rank_score(drawn, new, learned) if len(drawn) else 0.0)
    return np.array(scores)


def _adm(its: Computed) -> Keyed:
    exact = its.figures(3)
    for prefix in dict.fromkeys(key.split("/")[0] for key in _keys(its) if key.startswith("adm")):
        blocks = [int(number) for number in re.findall(r"\d+", prefix.removeprefix("adm_fp16"))]
        name = f"{prefix}/"
        if "off" in prefix:
            yield name + "precision", lambda: exact.precision.value
            yield name + "recall", lambda: exact.recall.value
            yield name + "evaluate_fraction", lambda: exact.precision.value
            yield name + "radii_ref", lambda: neighbour_distances(its.real, 3).square().numpy()
            yield name + "radii_sample", lambda: neighbour_distances(its.fake, 3).square().numpy()
            continue
        half = _in_blocks(its, blocks)
        yield name + "precision", partial(_value, half, "precision")
        yield name + "recall", partial(_value, half, "recall")
        yield name + "evaluate_fraction", partial(_value, half, "precision")
        yield name + "radii_ref", lambda: half_radii(its.real, (3,))[:, 0].numpy()
        yield name + "radii_sample", lambda: half_radii(its.fake, (3,))[:, 0].numpy()


def _in_blocks(its: Computed, blocks: list[int]) -> NeighbourFigures:
    """By float16 distances; other sizes of a block change which fall back to float32 alone, and
    genbench has the one size for rows and columns."""
    before = adm_float16.HALF_BLOCK
    adm_float16.HALF_BLOCK = max(blocks, default=before)
    try:
        return its.figures(3, half=True)
    finally:
        adm_float16.HALF_BLOCK = before
