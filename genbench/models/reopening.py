"""A model as a record tells of it, opened again."""

from __future__ import annotations

import torch

from genbench.errors import GenbenchError
from genbench.models.checkpoints import bundled_file
from genbench.models.contract import Adapter, ModelCard
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.optional import BringsCode, BringsWeights
from genbench.models.source import ModelSource
from genbench.records.measurement import Measurement
from genbench.runtime.digests import file_sha256


def reopened(record: Measurement, device: torch.device, checkpoint: str = "") -> ModelSource:
    """The model of a record, with its options, seed, labels, arithmetic, block and compiling.

    checkpoint: where the weights lie, for those that its card does not find by itself. Raises
    GenbenchError naming the file and its digest where it is needed, and where another is given;
    UsageError for a record of images that no model drew.
    """
    if not record.card:
        raise GenbenchError(
            f"{record.model} is an image set and no model: its images cannot be drawn again"
        )
    options = {key: _text(value) for key, value in record.options.items() if value is not None}
    asked = options.pop("compile", "false")  # of BigGAN-deep alone, before every model had it
    model = resolve(
        ModelRequest(
            name=record.model, resolution=record.resolution, variant=record.card,
            checkpoint=checkpoint, options=options, seed=record.seed or 0,
            labels=record.labels or "uniform", dtype=record.arithmetic, block=record.block,
            compiles=bool(record.compiled) or asked == "true",
        )
    )  # fmt: skip
    digest = record.checkpoint_digest
    own = isinstance(model.adapter, BringsWeights) or finds_weights(
        type(model.adapter), model.card, digest
    )
    if digest and not checkpoint and not own:
        raise GenbenchError(
            f"the run used {record.checkpoint} (SHA-256 {digest[:16]}…): pass it by "
            "--checkpoint PATH"
        )
    source = open_model(model, device)
    if source.spec.checkpoint_digest != digest:
        raise GenbenchError(
            f"{source.checkpoint or 'nothing'} is not the weights of the run: its SHA-256 is "
            f"{source.spec.checkpoint_digest[:16] or 'none'}…, the record's "
            f"{digest[:16] or 'none'}…"
        )
    if isinstance(model.adapter, BringsCode) and source.spec.code_digest != record.code_digest:
        raise GenbenchError(
            f"the code of {record.model} has changed since the run: bring back the file as it was"
        )
    return source


def finds_weights(family: type[Adapter], card: ModelCard, digest: str) -> bool:
    """Whether a card by itself finds the weights of that SHA-256 (hex): bundled, or published under
    it."""
    source = card.checkpoint
    if source is None:
        return False
    if source.bundled:
        path = bundled_file(family, source)
        return path.is_file() and file_sha256(path) == digest
    return source.sha256.lower() == digest


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
