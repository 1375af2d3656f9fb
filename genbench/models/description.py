"""A model and its settings as a record tells them."""

from __future__ import annotations

from dataclasses import replace

from genbench.models.source import ModelSource
from genbench.records.measurement import Measurement


def describe_model(template: Measurement, source: ModelSource) -> Measurement:
    """The template with a model and its settings."""
    spec = source.spec
    return replace(
        template,
        model=source.name,
        resolution=spec.resolution,
        card=spec.card,
        checkpoint=source.checkpoint,
        checkpoint_digest=spec.checkpoint_digest,
        weight_kind=spec.weight_kind,
        options={**spec.options, "dtype": spec.dtype, "code": spec.code_digest},
        seed=spec.seed,
        labels=spec.labels if source.card.classes else "",
    )
