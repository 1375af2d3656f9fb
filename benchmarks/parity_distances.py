"""What genbench makes of a case of metrics: distances between distributions, and diversity."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity_metric_cases import MetricCase
from torch import Tensor

from genbench.metrics.fd_infinity import fd_infinity
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian_mmd import gaussian_mmd
from genbench.metrics.kernel_distance import subset_distances
from genbench.metrics.mind import draw, monge_distance
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.settings import Kernel, Side
from genbench.metrics.sliced_wasserstein import sliced_wasserstein
from genbench.metrics.unit_length import unit_length
from genbench.metrics.vendi import class_vendi_scores, vendi_score

# All of these are genbench's one Fréchet distance.
_FRECHET = re.compile(
    r"dgm_eval/fd(_eff)?|clean_fid/fid_from_feats|pytorch_fid/frechet|edm2?/fid|adm/fid"
    r"|fld/FID_train|torchmetrics/fid_\w+|not_official/frechet_nuclear_norm_f64"
)
_SUBSETS = re.compile(
    r"(dgm_eval/kd|clean_fid/kernel_distance)_subsets(\d+)_size(\d+)_seed(\d+)(/mean|/std)?"
)
_INFINITY = re.compile(r"(dgm_eval/fd_infinity_points(\d+)_seed(\d+))/value")
_MIND = re.compile(r"(torch_fidelity_0\.5dev/mind_M(\d+)_seed(\d+))")
_CMMD = re.compile(r"cmmd_\w+_f(32|64)/(raw|unit_norm)")
_VENDI = re.compile(
    r"dgm_eval/vendi_q(?P<q>[\d.]+|inf)_(?P<kernel>linear|polynomial)"
    r"|vendi_score_0\.0\.3/score_(?P<form>X|dual|K)_q(?P<q2>[\d.]+|inf)"
)


def computed(case: MetricCase) -> dict[str, float]:
    """Our values of those of the case's keys that are distances or Vendi scores; for official
    arrays, the largest difference from them under "key (array)"."""
    found: dict[str, float] = {}
    for key in case.values:
        for pattern, compute in _PATTERNS:
            if match := pattern.fullmatch(key):
                found |= compute(case, match)
    return found


def _rows(case: MetricCase, side: str) -> Tensor:
    return torch.from_numpy(case.features(side))


def _moments(rows: Tensor) -> Moments:
    return stream_moments(iter([rows]), [len(rows)])[len(rows)]


def _frechet(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    sides = (_moments(_rows(case, side)) for side in ("fake", "real"))
    return {match[0]: frechet_distance(*sides)}


def _stats(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    ours, key = _moments(_rows(case, "fake")), match[0]
    if key.endswith("num_images"):
        return {key: ours.count}
    trace = {key: float(ours.covariance().trace())}
    mu, sigma = (case.arrays.get(f"edm2/stats_fake_{part}") for part in ("mu", "sigma"))
    if mu is None or sigma is None:
        return trace
    off = (ours.mean - torch.from_numpy(mu), ours.covariance() - torch.from_numpy(sigma))
    return trace | {f"{key} (array)": max(float(part.abs().max()) for part in off)}


def _sliced(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    sides = (_moments(_rows(case, side)) for side in ("fake", "real"))
    return {match[0]: sliced_wasserstein(*sides)}


def _shuffled_kernel(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    """fld shuffles both sides, the reference first, and then draws as torch-fidelity does."""
    drawn = np.random.RandomState(int(match[1]))
    reference, samples = (
        rows[torch.from_numpy(drawn.choice(len(rows), len(rows), replace=False))]
        for rows in (_rows(case, "real"), _rows(case, "fake"))
    )
    size = min(1000, len(samples) // 2, len(reference) // 2)
    found = subset_distances(samples, reference, subsets=100, subset_size=size, seed=42)
    return {match[0]: float(found.mean())}


def _kernel(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    first: Side = "reference" if match[1].startswith("dgm") else "samples"
    found = subset_distances(
        _rows(case, "fake"), _rows(case, "real"), subsets=int(match[2]), subset_size=int(match[3]),
        seed=int(match[4]), first=first, capped=True,
    )  # fmt: skip
    if match[5] == "/std":
        return {match[0]: float(found.std())}
    each = case.arrays.get(match[0].removesuffix("/mean") + "/all")
    return {match[0]: float(found.mean())} | _apart(match[0], found, each)


def _infinity(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    reference = _moments(_rows(case, "real"))
    found = fd_infinity(
        _rows(case, "fake"), reference, points=int(match[2]), seed=int(match[3])
    )  # fmt: skip
    return {match[0]: found.value} | _apart(
        match[0], found.distances, case.arrays.get(f"{match[1]}/fds")
    )


def _mind(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    ours, theirs = _rows(case, "fake"), _rows(case, "real")
    directions, seed = int(match[2]), int(match[3])
    value = monge_distance(ours, theirs, directions=directions, seed=seed, interval=False).value
    drawn = draw(len(ours), len(theirs), ours.shape[1], directions=directions, seed=seed)
    official = case.arrays.get(f"{match[1]}_draws/directions")
    return {match[0]: value} | _apart(match[0], drawn.directions.numpy(), official)


def _cmmd(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    ours, theirs = _rows(case, "fake"), _rows(case, "real")
    if match[2] == "unit_norm":
        ours, theirs = unit_length(ours), unit_length(theirs)
    return {match[0]: gaussian_mmd(ours, theirs, interval=False).value}


def _vendi(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    order = math.inf if "inf" in match[0] else float(match["q"] or match["q2"])
    kernel: Kernel = "polynomial" if match["kernel"] == "polynomial" else "linear"
    if match["form"] == "X":
        order = 1.0  # score_X ignores q
    gram = match["form"] == "K"
    return {match[0]: vendi_score(_rows(case, "fake"), order=order, kernel=kernel, gram=gram)}


def _vendi_joint(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    both = torch.cat((_rows(case, "real"), _rows(case, "fake")))
    return {match[0]: vendi_score(both)}


def _vendi_weighted(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    rows = _rows(case, "fake")
    ramp = torch.arange(1, len(rows) + 1, dtype=torch.float64)
    return {match[0]: vendi_score(rows, weights=ramp / ramp.sum())}


def _vendi_classes(case: MetricCase, match: re.Match[str]) -> dict[str, float]:
    rows, labels = _rows(case, "fake"), torch.from_numpy(case.labels)
    each = class_vendi_scores(rows, labels).numpy()
    official = case.arrays.get("dgm_eval/vendi_per_class_relabelled/each")
    return {match[0]: float(each.mean())} | _apart(match[0], each, official)


def _apart(key: str, ours: NDArray[Any], theirs: NDArray[Any] | None) -> dict[str, float]:
    if theirs is None:
        return {}
    same = ours.shape == theirs.shape
    return {f"{key} (array)": float(np.abs(ours - theirs).max()) if same else math.inf}


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[..., dict[str, float]]], ...] = (
    (_FRECHET, _frechet),
    (re.compile(r"edm2/stats_fake_sigma_trace|edm2/stats_num_images"), _stats),
    (re.compile(r"dgm_eval/sw_approx"), _sliced),
    (re.compile(r"fld/KID_train_seed(\d+)"), _shuffled_kernel),
    (_SUBSETS, _kernel),
    (_INFINITY, _infinity),
    (_MIND, _mind),
    (_CMMD, _cmmd),
    (_VENDI, _vendi),
    (re.compile(r"vendi_score_0\.0\.3/score_X_real_plus_fake_q1"), _vendi_joint),
    (re.compile(r"vendi_score_0\.0\.3/score_X_weighted_p_linear_ramp"), _vendi_weighted),
    (re.compile(r"dgm_eval/vendi_per_class_relabelled/mean"), _vendi_classes),
)
