"""Models opened: a request resolved once to adapter, card and options, then loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.checkpoints import find_checkpoint
from genbench.models.companions import own_card, with_companions
from genbench.models.compiling import compile_networks
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.naming import family_named
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.optional import (
    BringsWeights,
    Concurrent,
    MakesCard,
    RandomInit,
    UsesKernels,
    Weights,
)
from genbench.models.options import adapter_options, make_adapter
from genbench.models.registry import choose_card, code_digest
from genbench.models.source import ModelSource, SampleSpec, blaming
from genbench.records.measurement import Scalar, WeightKind
from genbench.runtime.allocator import keep_freed_memory
from genbench.runtime.arithmetic import (
    Arithmetic,
    arithmetic_named,
    check_arithmetic,
    pinned,
    switches,
    usual_arithmetic,
)
from genbench.runtime.devices import kind_of
from genbench.runtime.digests import file_sha256


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
    dtype: str = ""  # an arithmetic's name; empty: the card's
    batch_size: int | None = None  # samples handed on at once; None: a block
    block: int | None = None  # samples a network call; None: `_block`
    compiles: bool = False  # whether torch.compile makes the networks


@dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """What a request comes down to. options: the names of all that the family has; unknown: those
    asked for that it does not have, left out."""

    request: ModelRequest
    adapter: Adapter
    card: ModelCard
    arithmetic: Arithmetic
    options: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def resolve(request: ModelRequest, *, lenient: bool = False) -> ResolvedModel:
    """Find and configure the adapter of a request, once; nothing is loaded.

    lenient: options that the family does not have are told, not refused. Raises GenbenchError for
    a broken adapter, UsageError for a bad name, variant, resolution, option or dtype.
    """
    for name, size in (("batch-size", request.batch_size), ("block", request.block)):
        if size is not None and size < 1:
            raise UsageError(f"--{name} {size} must be at least 1")
    family = family_named(request.name)
    own = adapter_options(family)
    unknown = [key for key in request.options if key.replace("-", "_") not in own]
    known = {key: text for key, text in request.options.items() if key not in unknown}
    adapter = make_adapter(family, request.name, known if lenient else request.options)
    cards = adapter.cards
    if isinstance(adapter, MakesCard):
        cards = [adapter.card_for(request.resolution)]
    card = choose_card(cards, request.name, request.variant, request.resolution)
    return ResolvedModel(
        request=request,
        adapter=adapter,
        card=card,
        arithmetic=arithmetic_named(request.dtype or card.dtype),
        options=tuple(own),
        unknown=tuple(unknown),
    )


def open_model(model: ResolvedModel, device: torch.device) -> ModelSource:
    """Load a model with its weights. Raises GenbenchError or UsageError with the remedy."""
    if isinstance(model.adapter, BringsWeights):
        if model.request.checkpoint:
            raise UsageError(f"{model.request.name} names its own weights: leave out --checkpoint")
        return _opened(model, model.adapter.weights(), device)
    card = own_card(model.adapter, model.card)
    checkpoint, kind = find_checkpoint(type(model.adapter), card, model.request.checkpoint)
    if kind == "official" or not model.request.checkpoint:
        model = replace(model, adapter=with_companions(model.adapter, card))
    digest = file_sha256(checkpoint) if checkpoint else ""
    weights = Weights(name=checkpoint.name if checkpoint else "", digest=digest, kind=kind)
    return _opened(model, weights, device, checkpoint)


def open_random_model(model: ResolvedModel, device: torch.device) -> ModelSource:
    """`open_model` with random weights, for families that can (`optional.RandomInit`): what it
    draws is noise, at the speed of the real thing. Raises UsageError for a family that cannot.
    """
    if not isinstance(model.adapter, RandomInit):
        raise UsageError(
            f"model {model.request.name} cannot be measured without its weights: pass --checkpoint "
            "PATH"
        )
    return _opened(model, Weights(name="", digest="", kind="random-init"), device)


def _opened(
    model: ResolvedModel, weights: Weights, device: torch.device, checkpoint: Path | None = None
) -> ModelSource:
    request, card = model.request, model.card
    if not request.dtype:
        model = replace(model, arithmetic=usual_arithmetic(model.arithmetic, device))
    check_arithmetic(model.arithmetic, device)
    with pinned(model.arithmetic):
        stand = switches(device)
    spec = SampleSpec(
        model=request.name,
        card=card.name,
        resolution=card.resolution,
        checkpoint_digest=weights.digest,
        config_digest=_config_digest(checkpoint),
        weight_kind=weights.kind,
        options=_options(model.adapter),
        seed=request.seed,
        labels=request.labels,
        dtype=model.arithmetic.name,
        switches=stand,
        block=request.block or _block(card, device),
        compiled=request.compiles,
        device_type=kind_of(device),
        code_digest=code_digest(model.adapter),
    )
    # Bad labels and seeds fail here, before the loading.
    scheduled_labels(request.labels, card.classes, NoiseStream(request.seed, torch.arange(1)))
    if device.type == "cpu":
        keep_freed_memory()
    generator = _loaded(model, weights.kind, checkpoint, device)
    if request.compiles:
        compile_networks(generator, request.name, device)
    alone = device.type == "cpu" and isinstance(generator, Concurrent) and generator.concurrent
    kernels = _kernels(generator, request.name)
    return ModelSource(
        generator, replace(spec, threads=1 if alone else 0, kernels=kernels), card, device,
        batch_size=request.batch_size or 0,
        checkpoint=weights.name,
    )  # fmt: skip


def _kernels(generator: Generator, model: str) -> str:
    """What kernels make of it. Raises GenbenchError for a family whose `kernels` is something
    else."""
    kernels: object = generator.kernels if isinstance(generator, UsesKernels) else ""
    if not isinstance(kernels, str):
        raise GenbenchError(
            f"`kernels` of the generator of {model} is a {type(kernels).__name__}: it names what "
            "kernels make, as text; call what you mean otherwise"
        )
    return kernels


def _block(card: ModelCard, device: torch.device) -> int:
    """Samples of a network call when nobody asks: what a device computes fast and has memory for.
    Divisors of the 500 of a shard, so that shards are of whole blocks."""
    sizes = _BLOCKS["cpu" if device.type == "cpu" else "cuda"]
    return next(size for pixels, size in sizes if card.resolution <= pixels)


_BLOCKS = {
    "cpu": ((32, 50), (64, 10), (128, 5), (math.inf, 2)),
    "cuda": ((64, 100), (128, 50), (256, 25), (math.inf, 10)),
}


def _loaded(
    model: ResolvedModel, kind: WeightKind, checkpoint: Path | None, device: torch.device
) -> Generator:
    adapter, dtype = model.adapter, model.arithmetic.dtype
    with blaming(model.request.name, "could not be loaded"):
        if kind == "random-init" and isinstance(adapter, RandomInit):
            return adapter.load_random(model.card, device, dtype)
        return adapter.load(model.card, checkpoint, device, dtype)


def _options(adapter: Adapter) -> dict[str, Scalar]:
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
