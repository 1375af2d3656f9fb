"""Runs of several seeds beside each other: every figure, their mean, deviation and best."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.metrics.catalogue import metric_named
from genbench.records.kinds import QualityRecord
from genbench.tables.listings import Listing, metric_title, rounded
from genbench.tables.several_seeds import SeveralRuns


def list_seeds(runs: Sequence[Sequence[QualityRecord]]) -> Listing:
    """Two runs or more of one model, which differ in their seed: a row a metric and sample count
    that all of them have."""
    tables = [{(record.metric, record.samples): record for record in run} for run in runs]
    shared = [key for key in tables[0] if all(key in table for table in tables)]
    seeds = [f"seed {run[0].seed}" for run in runs]
    columns = ("metric", "samples", *seeds, "mean", "deviation", "best")
    rows = []
    for key in shared:
        found = [table[key] for table in tables]
        several = SeveralRuns(values=tuple(record.value for record in found))
        metric = metric_named(key[0])
        best = (max if metric.higher_is_better else min)(several.values)
        rows.append((
            metric_title(metric, found[0].detector), f"{key[1]:,}",
            *map(rounded, several.values),
            rounded(several.mean), f"{several.deviation:.2g}", rounded(best),
        ))  # fmt: skip
    return Listing(
        title=f"{runs[0][0].model}, {len(runs)} runs under protocol {runs[0][0].protocol}",
        columns=columns,
        rows=tuple(rows),
        numbers=frozenset(columns[1:]),
        notes=(
            "deviation: sample standard deviation of the runs; best: the least where lower is "
            "better, else the greatest",
        ),
    )
