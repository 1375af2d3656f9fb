"""Models as sources of images: an adapter, its checkpoint and a seed, as one indexable stream."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench import noise
from genbench.checkpoints import find_checkpoint
from genbench.core import Adapter, Generator, ModelCard, SampleSpec
from genbench.errors import GenbenchError, UsageError
from genbench.noise import NoiseStream, scheduled_labels
from genbench.records.measurement import WeightKind
from genbench.registry import (
    choose_card,
    code_digest,
    find_adapter,
    load_adapter_class,
    make_adapter,
)
from genbench.runtime.digests import canonical_digest, file_sha256
from genbench.speed_contract import RandomInit

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


class ModelSource:
    """Images of a generator by index: image i depends on (seed, i), never on how they are asked."""

    def __init__(
        self, generator: Generator, spec: SampleSpec, card: ModelCard, *, batch_size: int = 64
    ) -> None:
        self.generator = generator
        self.spec = spec
        self.card = card
        self.batch_size = batch_size
        self.name = spec.model
        self.checkpoint = ""  # file name of the weights; empty for a model without any
        self.count: int | None = None  # as many as wanted
        self.device = torch.device(spec.device_type)
        self.counts_evaluations = hasattr(generator, "evaluations")
        self._evaluations: dict[int, tuple[int, int]] = {}  # by sample, of those drawn here

    def identity(self) -> dict[str, Any]:
        """Everything the images depend on."""
        return {"kind": "model", "noise": noise.SCHEME, **asdict(self.spec)}

    def digest(self) -> str:
        """SHA-256 (hex) of `identity`."""
        return canonical_digest(self.identity())

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Labels int64 [stop - start] of samples start … stop-1; None without classes."""
        return scheduled_labels(self.spec.labels, self.card.classes, self.noise(start, stop))

    def noise(self, start: int, stop: int) -> NoiseStream:
        """The random numbers of samples start … stop-1, on the generator's device."""
        return NoiseStream(self.spec.seed, torch.arange(start, stop), self.device)

    def images(self, start: int, stop: int) -> Iterator[Tensor]:
        """Batches uint8 [n, 3, H, W] of samples start … stop-1, on the CPU."""
        for first in range(start, stop, self.batch_size):
            last = min(first + self.batch_size, stop)
            yield self.sample_with(self.labels(first, last), first, last).cpu()

    def draw(self, first: int, last: int) -> Tensor:
        """Labels, noise and the generator's call for samples first … last-1, nothing checked: what
        a speed measurement times. Lets torch's OutOfMemoryError through."""
        return self._call(self.labels(first, last), first, last)

    def _call(self, labels: Tensor | None, first: int, last: int) -> Tensor:
        with _blaming(self.name, "failed while sampling"), torch.inference_mode():
            return self.generator.sample(labels, self.noise(first, last))

    def sample_with(self, labels: Tensor | None, first: int, last: int) -> Tensor:
        """One generator call for samples first … last-1: uint8 [n, 3, H, W] on its device."""
        try:
            images = self._call(labels, first, last)
        except torch.OutOfMemoryError as error:
            raise GenbenchError(
                f"model {self.name} ran out of memory at batch size {last - first}: "
                f"pass --batch-size {max(1, (last - first) // 2)}"
            ) from error
        self._count(first, last)
        return self._checked(images, last - first)

    def evaluations(self, start: int, stop: int) -> NDArray[np.float32]:
        """Network calls of samples start … stop-1, drawn before: float32 [n, 2], of the networks
        that make the image and of those that guide (see genbench.core.CountingGenerator)."""
        return np.array([self._evaluations[index] for index in range(start, stop)], np.float32)

    def _count(self, first: int, last: int) -> None:
        if not self.counts_evaluations:
            return
        made = getattr(self.generator, "evaluations", 0)
        guided = getattr(self.generator, "guide_evaluations", 0)
        for count in (made, guided):
            if not isinstance(count, int) or count < 0:
                raise GenbenchError(
                    f"model {self.name} counts {count!r} network evaluations: `evaluations` and "
                    "`guide_evaluations` of a generator are whole numbers, or left out"
                )
        self._evaluations.update(dict.fromkeys(range(first, last), (made, guided)))

    def _checked(self, images: object, count: int) -> Tensor:
        wanted = (count, 3, self.card.resolution, self.card.resolution)
        if not isinstance(images, Tensor):
            problem = f"a {type(images).__name__}"
        elif images.dtype != torch.uint8:
            finite = not images.is_floating_point() or bool(torch.isfinite(images).all())
            problem = f"{images.dtype} values" + ("" if finite else " with NaN or infinity")
        elif tuple(images.shape) != wanted:
            problem = f"shape {tuple(images.shape)}"
        else:
            return images
        raise GenbenchError(
            f"model {self.name} returned {problem} where uint8 {wanted} is wanted: "
            "convert with genbench.images.rounding.to_uint8 in the adapter"
        )


def open_model(request: ModelRequest, device: torch.device) -> ModelSource:
    """Find, configure and load a model. Raises GenbenchError or UsageError with the remedy."""
    adapter, card = chosen(request)
    checkpoint, kind = find_checkpoint(type(adapter), card, request.checkpoint)
    return _opened(request, adapter, card, checkpoint, kind, device)


def open_random_model(request: ModelRequest, device: torch.device) -> ModelSource:
    """`open_model` with random weights, for families that can (`speed_contract.RandomInit`): what
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


@contextmanager
def _blaming(model: str, what: str) -> Iterator[None]:
    """Turn whatever a stranger's code raises into one line that names the model."""
    try:
        yield
    except (GenbenchError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise GenbenchError(
            f"model {model} {what}: {type(error).__name__}: {error}; `genbench check {model}` "
            "tells more"
        ) from error


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
