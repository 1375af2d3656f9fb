"""A run as a bundle: its records, moments and the digests of all its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.bundles.archive import (
    FEATURES,
    GRID,
    LEAVES,
    MOMENTS,
    RECORDS,
    TABLE,
    Manifest,
    write_bundle,
)
from genbench.bundles.leaves import leaves_of, root_of
from genbench.bundles.moments import packed
from genbench.errors import GenbenchError, UsageError
from genbench.metrics.catalogue import metric_named
from genbench.metrics.moments import stream_moments
from genbench.quality.features import FeatureSet, ShardFeatures, rows
from genbench.quality.metric_values import Reference
from genbench.records.kinds import QualityRecord, Record
from genbench.records.lines import to_line
from genbench.records.protocols import EvalProtocol, load_protocols
from genbench.version import __version__


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run's figures rest on, found again: the features of its samples and its reference."""

    samples: ShardFeatures
    layers: tuple[str, ...]
    reference: Reference | None


def figures_of(run: Iterable[Record]) -> list[QualityRecord]:
    """The figures of quality of a run, of one set of samples under one protocol. Raises UsageError
    for a run of speed, GenbenchError for records of several samples or protocols."""
    figures = [record for record in run if isinstance(record, QualityRecord)]
    if not figures:
        raise UsageError("the run measured no quality: a bundle is of samples and their figures")
    for what, field in (("set of sample", "samples_digest"), ("protocol", "protocol_digest")):
        if len({getattr(figure, field) for figure in figures}) > 1:
            raise GenbenchError(f"the run's records are of several {what}s: pack one run at a time")
    if not figures[0].samples_digest:
        raise GenbenchError("the run's records do not name their samples: measure them again")
    return figures


def protocol_of(record: QualityRecord) -> EvalProtocol:
    """The protocol of a record as data. Raises GenbenchError for one that is not known here, such
    as a changed one."""
    for protocol in load_protocols().values():
        if protocol.digest() == record.protocol_digest:
            return protocol
    raise GenbenchError(
        f"the protocol {record.protocol} [{record.protocol_digest}] of the run is none of "
        "`genbench ls protocols`: measure under one of them, so that others can"
    )


def pack(
    path: Path,
    figures: Sequence[QualityRecord],
    protocol: EvalProtocol,
    evidence: Evidence,
    *,
    identity: Mapping[str, Any],
    table: str,
    grid: Path | None,
    slim: bool = False,
    with_features: bool = False,
) -> Manifest:
    """Write the bundle of a run. identity: of the samples' source. grid: a picture of its first
    samples. slim: without moments. with_features: with all features, by which every figure can be
    computed again."""
    leaves = leaves_of(evidence.samples, evidence.layers)
    members: dict[str, bytes | Mapping[str, NDArray[Any]]] = {
        RECORDS: "".join(f"{to_line(figure)}\n" for figure in figures).encode(),
        TABLE: table.encode(),
        LEAVES: {"leaves": leaves},
    }
    if not slim:
        members[MOMENTS] = moments_of(figures, evidence)
    if with_features:
        members[FEATURES] = _features(evidence)
    if grid is not None and grid.is_file():
        members[GRID] = grid.read_bytes()
    manifest = Manifest(
        format=1, genbench=__version__, created=datetime.now(UTC).isoformat(timespec="seconds"),
        samples=len(leaves), samples_digest=figures[0].samples_digest,
        identity=identity, root=root_of(leaves),
        layers=tuple(sorted(evidence.layers)), protocol=protocol, slim=slim,
    )  # fmt: skip
    return write_bundle(path, manifest, members, replaces_others=False)


def moments_of(
    figures: Sequence[QualityRecord], evidence: Evidence
) -> dict[str, NDArray[np.float64]]:
    """The moments that figures rest on, as `packed` has them ([D] and [D (D + 1) / 2]): of the
    samples at each count, and of the reference, for every layer of a Fréchet distance."""
    arrays: dict[str, NDArray[np.float64]] = {}
    wanted: dict[str, set[int]] = {}
    for figure in figures:
        metric = metric_named(figure.metric)
        if metric.compares == "moments":
            wanted.setdefault(metric.layer, set()).add(figure.samples)
    for layer, counts in wanted.items():
        chunks = evidence.samples.chunks(layer, max(counts))
        for count, found in stream_moments(chunks, sorted(counts)).items():
            arrays |= packed(f"samples/{layer}/{count}", found)
        if evidence.reference is not None:
            arrays |= packed(f"reference/{layer}", evidence.reference.moments(layer))
    return arrays


def _features(evidence: Evidence) -> dict[str, NDArray[np.float32]]:
    found = {f"samples/{layer}": _all(evidence.samples, layer) for layer in evidence.layers}
    if evidence.reference is not None and evidence.reference.features is not None:
        for layer in evidence.layers:
            try:
                found[f"reference/{layer}"] = _all(evidence.reference.features, layer)
            except GenbenchError:  # the reference's features of this layer were not wanted
                continue
    return found


def _all(features: FeatureSet, layer: str) -> NDArray[np.float32]:
    return rows(features, layer).numpy()
