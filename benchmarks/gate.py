"""How often `genbench gate` stops a model, by simulation: false alarms, power, and samples used.

    python benchmarks/gate.py --metric fid --margin 5% --repeats 400

Baseline and model are Gaussian features of known distributions against one reference; the model's
mean is moved so that its true figure is worse by a known share. Each repeat draws both anew, keeps
records and influences as `genbench fid --ci` does, and runs the gate as the command does, with four
looks. "paired": samples of one number are correlated as those of one seed. Prints a Markdown table;
`docs/gate.md` keeps what was run.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from genbench.metrics.catalogue import metric_named
from genbench.quality.features import ArrayFeatures
from genbench.quality.metric_values import MetricJob, Reference
from genbench.records.influences import keep_influences
from genbench.records.kinds import QualityRecord
from genbench.records.measurement import Environment
from genbench.records.protocols import find_protocol
from genbench.runtime.progress import SilentReporter
from genbench.verdicts.gate import Gate, gate
from genbench.verdicts.margins import Margin, margin_of

Rows = NDArray[np.float32]
WIDTH, REFERENCES = 32, 1000
_SPECTRUM = (1 + np.arange(WIDTH)) ** -0.5  # as deviations of a network's features fall
ALIKE = 0.9  # correlation of paired samples: one noise, two checkpoints
_OFFSET = 1.0  # of the baseline's mean


def moved(normal: NDArray[np.float64], offset: float) -> Rows:
    """Features whose mean is `offset` from the reference's, from normal deviates [n, WIDTH]; apart
    from the mean a tenth wider, so that shares of neighbours move too."""
    rows = normal * _SPECTRUM * 1.1
    rows[:, 0] += offset
    return rows.astype(np.float32)


def records(
    rows: Rows, reference: Reference, metric: str, counts: tuple[int, ...], run: str, seed: int,
    folder: Path,
) -> list[QualityRecord]:  # fmt: skip
    """The figures of a run at every count, with their influences beside."""
    protocol = replace(find_protocol("standard"), kid_subset_size=min(counts))
    chosen = metric_named(metric)
    job = MetricJob(
        ArrayFeatures("x", run, {"pool": rows}), reference, protocol, "inception",
        SilentReporter(), interval=True,
    )  # fmt: skip
    found, kept = [], {}
    for value in job.compute([(chosen, count) for count in counts]):
        estimate = value.estimate
        found.append(
            QualityRecord(
                model="simulated", resolution=0, metric=metric, value=estimate.value, unit="",
                low=estimate.low, high=estimate.high, samples=value.count, protocol=protocol.name,
                protocol_digest=protocol.digest(), run=run, seed=seed, detector="inception",
                environment=Environment(), reference_samples=REFERENCES,
            )
        )  # fmt: skip
        if estimate.influence is not None:
            kept[metric, value.count] = (estimate.value, estimate.influence)
    keep_influences(folder, run, kept)
    return found


def one_gate(
    rng: Generator, metric: str, margin: Margin, counts: tuple[int, ...], offset: float, *,
    paired: bool, folder: Path,
) -> Gate:  # fmt: skip
    """One baseline, one model whose mean is `offset` away, and the gate's decision."""
    drawn = np.random.default_rng(1).normal(size=(REFERENCES, WIDTH)) * _SPECTRUM
    reference = Reference("r", "r", ArrayFeatures("r", "r", {"pool": drawn.astype(np.float32)}))
    noise = rng.normal(size=(counts[-1], WIDTH))
    own = rng.normal(size=noise.shape)
    others = ALIKE * noise + math.sqrt(1 - ALIKE**2) * own if paired else own
    base = records(moved(noise, _OFFSET), reference, metric, counts, "a", 0, folder)
    new = {
        record.samples: record
        for record in records(
            moved(others, offset), reference, metric, counts, "b", 0 if paired else 1, folder
        )
    }
    return gate(base, [folder], new.__getitem__, margin=margin)


def figure_at(metric: str, count: int, offset: float, repeats: int = 40) -> float:
    """The expected figure at a count, by simulation."""
    rng = np.random.default_rng(2)
    drawn = np.random.default_rng(1).normal(size=(REFERENCES, WIDTH)) * _SPECTRUM
    reference = Reference("r", "r", ArrayFeatures("r", "r", {"pool": drawn.astype(np.float32)}))
    values = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            rows = moved(rng.normal(size=(count, WIDTH)), offset)
            (found,) = records(rows, reference, metric, (count,), "x", 0, Path(folder))
            values.append(found.value)
    return float(np.mean(values))


def offset_for(metric: str, count: int, worse: float) -> float:
    """The mean's offset at which the expected figure is worse by that share of the baseline's."""
    if not worse:
        return _OFFSET
    base = figure_at(metric, count, _OFFSET)
    higher = metric_named(metric).higher_is_better
    wanted = base * (1 - worse if higher else 1 + worse)
    low, high = _OFFSET, 4 * _OFFSET
    for _ in range(12):
        middle = (low + high) / 2
        beyond = figure_at(metric, count, middle) > wanted
        low, high = (low, middle) if beyond is not higher else (middle, high)
    return (low + high) / 2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metric", action="append")
    parser.add_argument("--margin", default="5%")
    parser.add_argument("--worse", type=float, action="append", help="shares of the figure")
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--repeats", type=int, default=400)
    options = parser.parse_args()
    margin = margin_of(options.margin)
    counts = tuple(options.count // part for part in (8, 4, 2, 1))
    print(f"margin {margin}, looks at {', '.join(map(str, counts))} samples")
    print("| metric | truly worse by | samples | worse | not worse | inconclusive | used |")
    print("|---|---|---|---|---|---|---|")
    for metric in options.metric or ["fid"]:
        for worse in options.worse or [0.0, margin.share, 0.1, 0.2]:
            offset = offset_for(metric, options.count, worse)
            for paired in (True, False):
                rng = np.random.default_rng(3)
                with tempfile.TemporaryDirectory() as folder:
                    found = [
                        one_gate(rng, metric, margin, counts, offset, paired=paired,
                                 folder=Path(folder))
                        for _ in range(options.repeats)
                    ]  # fmt: skip
                told = Counter(one.decision for one in found)
                used = np.mean([one.looks[-1].samples for one in found]) / options.count
                shares = " | ".join(
                    f"{told[word] / options.repeats:.1%}"
                    for word in ("worse", "not worse", "inconclusive")
                )
                print(
                    f"| {metric} | {worse:.0%} | {'paired' if paired else 'not paired'} "
                    f"| {shares} | {used:.0%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
