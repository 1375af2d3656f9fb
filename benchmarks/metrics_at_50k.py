"""Time and memory of the metrics at 50,000 x 2,048 features, beside a plain version of the formula.

    python benchmarks/metrics_at_50k.py [--count 50000] [--width 2048] [--metric mind] [--plain]

The plain version is the formula as it is usually written: whole matrices, scipy's sqrtm for every
Fréchet distance. Each measurement is a process of its own; a line gives processor seconds, of all
threads, and the memory above that of the features. --plain measures the plain version too: at
50,000 some of its matrices take 20 GB, and a square root of 2,048 features about a minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.metrics.class_frechet import class_distances
from genbench.metrics.fd_infinity import fd_infinity
from genbench.metrics.gaussian_mmd import gaussian_mmd
from genbench.metrics.kernel_distance import kernel_distance
from genbench.metrics.mind import draw, monge_distance
from genbench.metrics.moments import stream_moments
from genbench.metrics.unit_length import unit_length
from genbench.metrics.vendi import vendi_interval, vendi_score

CLASSES = 100
Floats = NDArray[np.float64]
Compute = Callable[[Tensor, Tensor], float]


def _infinity(samples: Tensor, reference: Tensor) -> float:
    moments = stream_moments(iter([reference]), [len(reference)])[len(reference)]
    return fd_infinity(samples, moments, points=15, seed=0).value


def _plain_distance(mean: Floats, covariance: Floats, rows: Tensor) -> float:
    values = rows.numpy().astype(np.float64)
    own = np.cov(values, rowvar=False)
    root = scipy.linalg.sqrtm(own @ covariance).real
    offset = values.mean(axis=0) - mean
    return float(offset @ offset + np.trace(own) + np.trace(covariance) - 2 * np.trace(root))


def _plain_infinity(samples: Tensor, reference: Tensor) -> float:
    values = reference.numpy().astype(np.float64)
    mean, covariance = values.mean(axis=0), np.cov(values, rowvar=False)
    drawn = np.random.default_rng(0)
    count = len(samples)
    sizes = np.linspace(min(5000, max(count // 10, 2)), count, 15).astype(int)
    found = [
        _plain_distance(mean, covariance, samples[drawn.choice(count, size, replace=False)])
        for size in sizes
    ]
    return float(np.polyfit(1 / sizes, found, 1)[1])


def _kernel(samples: Tensor, reference: Tensor) -> float:
    return kernel_distance(
        samples, reference, subsets=100, subset_size=1000, seed=0, interval=False
    ).value


def _plain_kernel(samples: Tensor, reference: Tensor) -> float:
    drawn, total, size, width = np.random.RandomState(0), 0.0, 1000, samples.shape[1]
    for _ in range(100):
        ours, theirs = (
            side[drawn.choice(len(side), size, replace=False)].numpy().astype(np.float64)
            for side in (samples, reference)
        )
        within = (ours @ ours.T / width + 1) ** 3 + (theirs @ theirs.T / width + 1) ** 3
        across = (ours @ theirs.T / width + 1) ** 3
        total += (within.sum() - np.trace(within)) / (size - 1) / size - 2 * across.mean()
    return total / 100


def _monge(samples: Tensor, reference: Tensor) -> float:
    return monge_distance(samples, reference, directions=1000, seed=0, interval=False).value


def _plain_monge(samples: Tensor, reference: Tensor) -> float:
    width = samples.shape[1]
    directions = draw(len(samples), len(reference), width, directions=1000, seed=0).directions
    ours, theirs = (
        (side @ directions.T).sort(dim=0).values for side in (samples, reference)
    )  # [N, 1000]
    return 3 * width * float(((ours - theirs) ** 2).mean())


def _gaussian(samples: Tensor, reference: Tensor) -> float:
    return gaussian_mmd(unit_length(samples), unit_length(reference), interval=False).value


def _plain_gaussian(samples: Tensor, reference: Tensor) -> float:
    ours, theirs = unit_length(samples).float(), unit_length(reference).float()

    def mean(left: Tensor, right: Tensor) -> float:
        apart = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        return float(torch.exp(-apart / 200).mean())

    return 1000 * (mean(ours, ours) + mean(theirs, theirs) - 2 * mean(ours, theirs))


def _vendi(samples: Tensor, _: Tensor) -> float:
    return vendi_interval(samples, vendi_score(samples)).value


def _plain_vendi(samples: Tensor, _: Tensor) -> float:
    unit = unit_length(samples).numpy()
    values = scipy.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def _classes(samples: Tensor, reference: Tensor) -> float:
    labels, others = (torch.arange(len(side)) % CLASSES for side in (samples, reference))
    return float(class_distances(samples, labels, reference, others).mean())


def _plain_classes(samples: Tensor, reference: Tensor) -> float:
    found = []
    for label in range(CLASSES):
        values = reference[label::CLASSES].numpy().astype(np.float64)
        mean, covariance = values.mean(axis=0), np.cov(values, rowvar=False)
        found.append(_plain_distance(mean, covariance, samples[label::CLASSES]))
    return float(np.mean(found))


METRICS: dict[str, tuple[Compute, Compute]] = {
    "fd_infinity": (_infinity, _plain_infinity),
    "kd": (_kernel, _plain_kernel),
    "mind": (_monge, _plain_monge),
    "cmmd": (_gaussian, _plain_gaussian),
    "vendi": (_vendi, _plain_vendi),
    "class_fd": (_classes, _plain_classes),
}


def measured(name: str, plain: bool, count: int, width: int) -> tuple[float, float, float]:
    """(value, seconds, MB above the features) of one metric."""
    warnings.simplefilter("ignore")
    generator = torch.Generator().manual_seed(0)
    scale = torch.arange(1, width + 1).rsqrt()
    reference = torch.randn(count, width, generator=generator) * scale
    samples = torch.randn(count, width, generator=generator) * scale * 1.1 + 0.01
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    value = METRICS[name][plain](samples, reference)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return value, seconds, (peak - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--metric", choices=METRICS, action="append")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    print(f"{options.count:,} x {options.width:,} on each side, {torch.get_num_threads()} threads")
    for name in options.metric or METRICS:
        for plain in (False, True)[: 1 + options.plain]:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
                run = alone.submit(measured, name, plain, options.count, options.width)
            value, seconds, memory = run.result()
            what = "plain" if plain else "genbench"
            print(f"{name:12} {what:9} {seconds:8.1f} s {memory:8,.0f} MB  {value:.8g}", flush=True)


if __name__ == "__main__":
    main()
