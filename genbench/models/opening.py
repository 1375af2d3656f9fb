"""Models as sources of images: an adapter, its checkpoint and a seed, as one indexable stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, cast

import torch

from genbench.errors import UsageError
from genbench.models.checkpoints import find_checkpoint
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.optional import RandomInit
from genbench.models.options import make_adapter
from genbench.models.registry import choose_card, code_digest, find_adapter, load_adapter_class
from genbench.models.source import ModelSource, SampleSpec, _blaming
from genbench.records.measurement import WeightKind
from genbench.runtime.digests import file_sha256

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A model as the user names it."""

    name: str
    resolution: int = 0  # 0: that of the first card
    variant: str = ""
    checkpoint: str = ""  # path or URL; empty: the card's own
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    labels: str = "uniform"
    dtype: str = ""  # empty: the card's
    batch_size: int | None = None  # None: `_batch_size`


def open_model(request: ModelRequest, device: torch.device) -> ModelSource:
    """Find, configure and load a model. Raises GenbenchError or UsageError with the remedy."""
    adapter, card = chosen(request)
    checkpoint, kind = find_checkpoint(type(adapter), card, request.checkpoint)
    return _opened(request, adapter, card, checkpoint, kind, device)


def open_random_model(request: ModelRequest, device: torch.device) -> ModelSource:
    """`open_model` with random weights, for families that can (`optional.RandomInit`): what
    it draws is noise, at the speed of the real thing. Raises UsageError for a family that cannot.
    """
    adapter, card = chosen(request)
    if not callable(getattr(adapter, "load_random", None)):
        raise UsageError(
            f"model {request.name} cannot be measured without its weights: pass --checkpoint PATH"
        )
    return _opened(request, adapter, card, None, "random-init", device)


def chosen(request: ModelRequest) -> tuple[Adapter, ModelCard]:
    """The configured adapter and the card that a request comes down to."""
    if request.dtype and request.dtype not in DTYPES:
        raise UsageError(f"unknown --dtype {request.dtype}: one of {', '.join(DTYPES)}")
    if request.batch_size is not None and request.batch_size < 1:
        raise UsageError(f"--batch-size {request.batch_size} must be at least 1")
    adapter_class = load_adapter_class(find_adapter(request.name))
    adapter = make_adapter(adapter_class, request.name, request.options)
    return adapter, choose_card(adapter.cards, request.name, request.variant, request.resolution)


def _opened(
    request: ModelRequest, adapter: Adapter, card: ModelCard, checkpoint: Path | None,
    kind: WeightKind, device: torch.device,
) -> ModelSource:  # fmt: skip
    dtype = request.dtype or card.dtype
    spec = SampleSpec(
        model=request.name,
        card=card.name,
        resolution=card.resolution,
        checkpoint_digest=file_sha256(checkpoint) if checkpoint else "",
        config_digest=_config_digest(checkpoint),
        weight_kind=kind,
        options=_options(adapter),
        seed=request.seed,
        labels=request.labels,
        dtype=dtype,
        device_type=device.type,
        code_digest=code_digest(type(adapter)),
    )
    # Bad labels and seeds fail here, before the loading.
    scheduled_labels(request.labels, card.classes, NoiseStream(request.seed, torch.arange(1)))
    generator = _load(adapter, spec, card, checkpoint, device)
    batch_size = request.batch_size or _batch_size(device)
    source = ModelSource(generator, spec, card, batch_size=batch_size)
    source.device = device
    source.checkpoint = checkpoint.name if checkpoint else ""
    return source


def _batch_size(device: torch.device) -> int:
    """Of a network call when nobody asks: a CPU's caches hold the activations of fewer images."""
    return 32 if device.type == "cpu" else 64


def model_resolution(request: ModelRequest) -> int:
    """The resolution the request comes down to, without loading any weights."""
    adapter = load_adapter_class(find_adapter(request.name))
    return choose_card(adapter.cards, request.name, request.variant, request.resolution).resolution


def _load(
    adapter: Adapter,
    spec: SampleSpec,
    card: ModelCard,
    checkpoint: Path | None,
    device: torch.device,
) -> Generator:
    dtype = DTYPES[spec.dtype]
    with _blaming(spec.model, "could not be loaded"):
        if spec.weight_kind == "random-init":
            return cast(RandomInit, adapter).load_random(card, device, dtype)
        return adapter.load(card, checkpoint, device, dtype)


def _options(adapter: Adapter) -> dict[str, Any]:
    """The adapter's options, ready for JSON, which has no infinity; of a file its digest, since its
    name does not decide the images."""
    options: dict[str, Any] = asdict(adapter) if is_dataclass(adapter) else {}
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            options[name] = str(value)
        if isinstance(value, Path):
            if not value.is_file():
                option = name.replace("_", "-")
                raise UsageError(f"--{option} {value} is not a file: check the path")
            options[name] = f"{value.name} {file_sha256(value)}"
    return options


def _config_digest(checkpoint: Path | None) -> str:
    """A configuration beside the weights decides the images as they do."""
    config = checkpoint.with_name("config.json") if checkpoint else None
    return file_sha256(config) if config and config.is_file() else ""
