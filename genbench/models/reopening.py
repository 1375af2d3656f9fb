"""A model as a record tells of it, opened again."""

from __future__ import annotations

import torch

from genbench.errors import GenbenchError
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.source import ModelSource
from genbench.records.measurement import Measurement

_FOUND_AGAIN = ("none", "trained-here", "random-init")  # weights that need no path


def reopened(record: Measurement, device: torch.device, checkpoint: str = "") -> ModelSource:
    """The model of a record, with its options, seed, labels, arithmetic and block.

    checkpoint: where the weights lie, for those that genbench does not bring. Raises GenbenchError
    naming the file and its digest where it is needed, and where another is given; UsageError for a
    record of images that no model drew.
    """
    if not record.card:
        raise GenbenchError(
            f"{record.model} is an image set and no model: its images cannot be drawn again"
        )
    if record.checkpoint_digest and not checkpoint and record.weight_kind not in _FOUND_AGAIN:
        raise GenbenchError(
            f"the run used {record.checkpoint} (SHA-256 {record.checkpoint_digest[:16]}…): pass it "
            "by --checkpoint PATH"
        )
    options = {key: _text(value) for key, value in record.options.items() if value is not None}
    request = ModelRequest(
        name=record.model, resolution=record.resolution, variant=record.card,
        checkpoint=checkpoint, options=options, seed=record.seed or 0,
        labels=record.labels or "uniform", dtype=record.arithmetic, block=record.block,
    )  # fmt: skip
    source = open_model(resolve(request), device)
    if source.spec.checkpoint_digest != record.checkpoint_digest:
        raise GenbenchError(
            f"{source.checkpoint or 'nothing'} is not the weights of the run: its SHA-256 is "
            f"{source.spec.checkpoint_digest[:16] or 'none'}…, the record's "
            f"{record.checkpoint_digest[:16] or 'none'}…"
        )
    return source


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
