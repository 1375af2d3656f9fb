"""A record as a line of the data behind a table."""

from __future__ import annotations

from genbench.metrics.catalogue import find_metric, short_title
from genbench.records.kinds import QualityRecord, Record
from genbench.site.rows import Line


def line_of(record: Record, name: str, page: str) -> Line:
    """What a reader of a table's data needs of a record. name: of its row; page: of its number."""
    quality = record if isinstance(record, QualityRecord) else None
    return {
        "name": name, "model": record.model, "variant": record.card,
        "resolution": record.resolution, "checkpoint": record.checkpoint,
        "checkpoint_digest": record.checkpoint_digest, "seed": record.seed,
        "metric": record.metric, "value": record.value, "low": record.low, "high": record.high,
        "unit": record.unit, "interval": record.interval, "samples": record.samples,
        "protocol": record.protocol, "protocol_digest": record.protocol_digest,
        "reference": quality.reference if quality else "",
        "reference_digest": quality.reference_digest if quality else "",
        "detector": quality.detector if quality else "",
        "device": record.environment.device, "genbench": record.environment.genbench,
        "git": record.environment.git, "created": record.created, "run": record.run,
        "notes": "; ".join(record.notes), "page": page,
    }  # fmt: skip


def title_of(record: Record) -> str:
    """What a record's metric is called: FID with Inception, FD with another detector."""
    metric = find_metric(record.metric)
    if metric is not None and isinstance(record, QualityRecord):
        return short_title(metric, record.detector)
    return record.metric.replace("_", " ")
