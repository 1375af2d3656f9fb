"""Whether a bundle's records, protocol, identity and digests tell one story."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from genbench.bundles.archive import Bundle, Manifest
from genbench.bundles.checks import TOLERANCE, Check
from genbench.bundles.leaves import root_of
from genbench.metrics.catalogue import find_metric, metric_named, reported_key
from genbench.records.kinds import QualityRecord
from genbench.runtime.digests import canonical_digest


def whole(bundle: Bundle, figures: Sequence[QualityRecord]) -> Iterator[Check]:
    """What the bundle says of itself: the root over its leaves, and records that are all of its
    samples and its protocol."""
    manifest = bundle.manifest
    root = root_of(bundle.leaves)
    same = root == manifest.root
    yield Check(
        subject="samples", state="holds" if same else "fails",
        told=f"{manifest.samples:,} digests, root {root[:16]}…"
        if same else f"the digests have the root {root[:16]}…, not {manifest.root[:16]}…",
    )  # fmt: skip
    own = dict(manifest.identity)
    digest = own.get("content") if own.get("kind") == "images" else canonical_digest(own)
    named = digest == manifest.samples_digest
    yield Check(
        subject="identity", state="holds" if named else "fails",
        told=f"what decides the samples has the digest {manifest.samples_digest[:16]}…"
        + ("" if named else ", it is said, and has not"),
    )  # fmt: skip
    digest = manifest.protocol.digest()
    problem = next(filter(None, (_contradiction(figure, manifest) for figure in figures)), "")
    if not problem:
        problem = _together(figures, manifest)
    yield Check(
        subject="records", state="fails" if problem else "holds",
        told=problem
        or f"{len(figures)} figures of these samples under {manifest.protocol.name} [{digest}]",
    )  # fmt: skip
    told = len([figure for figure in figures if figure.low is not None])
    yield Check(
        subject="not in question", state="told",
        told="environment, times, names and notes of the records, their "
        f"{told} intervals, the table and the picture stand as their authors made them",
    )  # fmt: skip


# Of a record: what the identity of its samples calls so.
_SUBJECT = {
    "model": "model", "card": "card", "resolution": "resolution", "seed": "seed",
    "options": "options", "arithmetic": "dtype", "block": "block", "compiled": "compiled",
    "checkpoint_digest": "checkpoint_digest", "weight_kind": "weight_kind",
    "code_digest": "code_digest", "kernels": "kernels",
}  # fmt: skip


def _contradiction(figure: QualityRecord, manifest: Manifest) -> str:
    """In what a record contradicts the manifest; empty where in nothing."""
    subject = f"{figure.metric} at {figure.samples:,}"
    protocol = manifest.protocol
    if figure.samples_digest != manifest.samples_digest:
        return f"{subject} is of other samples"
    if (figure.protocol_digest, figure.protocol) != (protocol.digest(), protocol.name):
        return f"{subject} is of another protocol"
    if not 0 < figure.samples <= manifest.samples:
        return f"{subject} is of more samples than there are"
    if not _within(figure):
        return f"{subject} lies beyond its own interval"
    metric = find_metric(figure.metric)
    if metric is None or figure.metric != reported_key(metric, figure.detector):
        return f"{figure.metric} is no metric of {figure.detector}"
    if figure.settings is not None and figure.settings != metric.settings(protocol):
        return f"the settings of {subject} are not those of the protocol"
    if figure.unit != metric.unit or figure.detector != protocol.detector:
        return f"unit or detector of {subject} are not those of the protocol"
    identity = manifest.identity
    if identity.get("kind") != "model":
        return ""
    for name, called in _SUBJECT.items():
        if json.loads(json.dumps(getattr(figure, name), default=str)) != identity.get(called):
            return (
                f"{subject} tells of {name} {getattr(figure, name)}, and the samples are of "
                f"{identity.get(called)}"
            )
    return ""


def _together(figures: Sequence[QualityRecord], manifest: Manifest) -> str:
    """In what records contradict each other or the manifest; empty where in nothing."""
    keys = [(figure.metric, figure.samples) for figure in figures]
    if len(set(keys)) < len(keys):
        return "one figure is there twice"
    layers = {metric_named(figure.metric).layer for figure in figures}
    if tuple(sorted(layers)) != manifest.layers:
        return f"the features are of {', '.join(manifest.layers) or 'nothing'}, not of the metrics"
    for name in ("reference", "reference_digest", "reference_samples"):
        if len({getattr(figure, name) for figure in figures if figure.reference_digest}) > 1:
            return f"the records are of several {name.replace('_', ' ')}s"
    if len({figure.reference_labels_digest for figure in figures} - {""}) > 1:
        return "the records are of several labels of the reference"
    for name in ("detector_identity", "environment"):
        if any(getattr(figure, name) != getattr(figures[0], name) for figure in figures):
            return f"the records differ in {name.replace('_', ' ')}, of one run"
    return ""


def _within(figure: QualityRecord) -> bool:
    """Whether a figure lies in its own interval, where it has one."""
    if figure.low is None or figure.high is None:
        return True
    slack = TOLERANCE * max(abs(figure.value), 1e-12)
    return figure.low - slack <= figure.value <= figure.high + slack
