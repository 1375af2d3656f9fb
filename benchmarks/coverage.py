"""How often a nominal 95% interval holds its target, by simulation.

    python benchmarks/coverage.py --metric fid --metric recall --count 1000 --dim 64 --repeats 200

Samples and a reference are drawn from distributions of features that are known; each repeat draws
the samples anew, against one reference ("fixed") or a new one too ("random"). The target is what an
interval states: the metric's expectation at that count, here the mean over all repeats. Beside it
stands how far the mean interval reaches against the spread of the figures (1 where it is right).
Prints a Markdown table; `docs/uncertainty.md` keeps what was run.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from genbench.metrics.catalogue import METRICS, metric_named
from genbench.metrics.estimate import NORMAL_95, Estimate
from genbench.quality.features import ArrayFeatures
from genbench.quality.metric_values import MetricJob, Reference
from genbench.records.protocols import EvalProtocol
from genbench.runtime.progress import SilentReporter

Draw = Callable[[Generator, int], NDArray[np.float32]]


def kinds(width: int) -> dict[str, tuple[Draw, Draw]]:
    """Distributions of samples and of references, by name: features float32 [n, width]."""
    spectrum = (1 + np.arange(width)) ** -0.5  # as deviations of a network's features fall
    turned = np.linalg.qr(np.random.default_rng(7).normal(size=(width, width)))[0] * spectrum

    def gaussian(rng: Generator, count: int) -> NDArray[np.float32]:
        return np.asarray(rng.normal(size=(count, width)) @ turned, np.float32)

    def heavy(rng: Generator, count: int) -> NDArray[np.float32]:
        scale = np.sqrt(5 / rng.chisquare(5, size=(count, 1)))  # Student's t of 5 degrees
        return np.asarray((rng.normal(size=(count, width)) * scale) @ turned, np.float32)

    centres = np.random.default_rng(8).normal(size=(10, width)) * spectrum * 2

    def mixture(classes: int) -> Draw:
        def draw(rng: Generator, count: int) -> NDArray[np.float32]:
            drawn = rng.integers(classes, size=count)
            spread = rng.normal(size=(count, width)) @ turned
            return np.asarray(np.maximum(centres[drawn] + spread, 0), np.float32)  # ReLU

        return draw

    def shifted(draw: Draw) -> Draw:
        return lambda rng, count: draw(rng, count) * np.float32(1.1) + np.float32(0.05)

    return {
        "Gaussian": (shifted(gaussian), gaussian),
        "heavy-tailed": (shifted(heavy), heavy),
        "mixture": (mixture(8), mixture(10)),  # two classes dropped
    }


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one line of the table is of."""

    kind: str
    width: int
    count: int
    references: int
    fixed: bool


def estimates(case: Case, metrics: list[str], repeats: int, seed: int) -> dict[str, list[Estimate]]:
    """Each metric's estimates over the repeats."""
    samples, real = kinds(case.width)[case.kind]
    protocol = EvalProtocol(
        name="simulation", kid_subsets=20, kid_subset_size=min(500, case.count, case.references)
    )
    rng = np.random.default_rng([seed, case.width, case.count])
    kept = real(rng, case.references)
    found: dict[str, list[Estimate]] = {name: [] for name in metrics}
    for _ in range(repeats):
        reference = kept if case.fixed else real(rng, case.references)
        drawn = samples(rng, case.count)
        job = MetricJob(
            ArrayFeatures("s", "s", {"pool": drawn}),
            Reference("r", "r", ArrayFeatures("r", "r", {"pool": reference})),
            protocol, "features", SilentReporter(), interval=True,
        )  # fmt: skip
        wanted = [(metric_named(name), case.count) for name in metrics]
        for name, value in zip(metrics, job.compute(wanted), strict=True):
            found[name].append(value.estimate)
    return found


def line(name: str, case: Case, found: list[Estimate]) -> Iterator[str]:
    """The cells of a line of the table."""
    values = [item.value for item in found]
    target, spread = statistics.fmean(values), statistics.stdev(values)
    ends = [
        (item.low, item.high)
        for item in found if item.low is not None and item.high is not None
    ]  # fmt: skip
    yield from (name, case.kind, str(case.width), f"{case.count:,}", f"{case.references:,}",
                "fixed" if case.fixed else "random", f"{target:.5g}", f"{spread:.3g}")  # fmt: skip
    if not ends:
        yield from ("none", "–")
        return
    held = statistics.fmean(low <= target <= high for low, high in ends)
    error = math.sqrt(max(held * (1 - held), 0.25 / len(ends)) / len(ends))
    reach = statistics.fmean(high - low for low, high in ends) / 2 / NORMAL_95
    yield f"{100 * held:.1f}% ± {100 * error:.1f}"
    yield f"{reach / spread:.2f}" if spread else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metric", action="append", choices=METRICS)
    parser.add_argument("--kind", action="append", choices=list(kinds(4)))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--references", type=int, default=0, help="0: as many as samples")
    parser.add_argument("--reference", action="append", choices=["fixed", "random"])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    torch.set_num_threads(1)
    usual = ["fid", "kid", "precision", "recall", "density", "coverage"]
    headings = ("metric", "features", "D", "N", "references", "reference", "mean", "deviation",
                "held", "reach")  # fmt: skip
    print("| " + " | ".join(headings) + " |")
    print("|---" * len(headings) + "|")
    for kind in told.kind or kinds(4):
        for reference in told.reference or ("fixed", "random"):
            case = Case(kind=kind, width=told.dim, count=told.count,
                        references=told.references or told.count,
                        fixed=reference == "fixed")  # fmt: skip
            found = estimates(case, told.metric or usual, told.repeats, told.seed)
            for name, values in found.items():
                print("| " + " | ".join(line(name, case, values)) + " |", flush=True)


if __name__ == "__main__":
    main()
