"""A model as a source of images by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.rounding import check_finite, finiteness_left
from genbench.models import noise
from genbench.models.contract import Generator, ModelCard
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.optional import CountsEvaluations, CountsGuidance, InOrder
from genbench.records.measurement import Scalar, Subject, WeightKind
from genbench.runtime.arithmetic import Switches, arithmetic_named, pinned
from genbench.runtime.digests import canonical_digest
from genbench.runtime.out_of_memory import is_out_of_memory, unfragmented
from genbench.runtime.parallel import beside_each_other, one_thread_each
from genbench.runtime.spans import spans


@dataclass(frozen=True, kw_only=True)
class SampleSpec:
    """Everything that decides which images a model draws; sample i depends on (seed, i) alone.

    dtype: the arithmetic of the networks, by name; switches: how torch's stand while they run.
    block: samples of one network call, whose size moves last bits: calls are of samples k * block …
    (k + 1) * block - 1 whatever part of them is asked for. threads: of a CPU in one call, which
    move last bits too; 0: as many as torch has. compiled: whether torch.compile made the networks,
    which moves them as well.
    """

    model: str
    card: str
    resolution: int
    checkpoint_digest: str = ""
    config_digest: str = ""  # of the configuration file beside the weights, if there is one
    weight_kind: WeightKind = "none"
    options: Mapping[str, Scalar] = field(default_factory=dict)
    seed: int = 0
    labels: str = "uniform"  # a schedule of `noise.scheduled_labels`
    dtype: str = "float32"
    switches: Switches | None = None
    block: int = 25
    threads: int = 0
    compiled: bool = False
    kernels: str = ""  # operations made as one by kernels of this project, where they can be
    device_type: str = "cpu"  # of a GPU with its name
    code_digest: str = ""  # of the adapter's Python sources


class ModelSource:
    """Images of a generator by index: image i depends on (seed, i), never on how they are asked.

    batch_size: samples handed on at once, in whole blocks: never decides an image. checkpoint: file
    name of the weights; empty for a model without any.
    """

    count: int | None = None  # as many as wanted

    def __init__(
        self, generator: Generator, spec: SampleSpec, card: ModelCard, device: torch.device, *,
        batch_size: int = 0, checkpoint: str = "",
    ) -> None:  # fmt: skip
        self.generator, self.spec, self.card, self.device = generator, spec, card, device
        self.batch_size, self.checkpoint = batch_size, checkpoint
        self.name, self.size = spec.model, (card.resolution, card.resolution)
        self.counts_evaluations = isinstance(generator, CountsEvaluations)
        self._evaluations: dict[int, tuple[int, int]] = {}  # by sample, of those drawn here
        self._drawn: list[Tensor] = []  # which images of the last `draw` are finite

    def __repr__(self) -> str:
        height, width = self.size
        return f"<samples of {self.spec.card} {height}×{width}, seed {self.spec.seed}>"

    @property
    def told(self) -> str:
        """What a user should know before anything is drawn; mostly nothing."""
        if not isinstance(self.generator, InOrder):
            return ""
        return f"{self.name} gives no sample by its number: its images are read in order"

    def asked_otherwise(self, *, block: int | None = None, seed: int | None = None) -> ModelSource:
        """The same loaded generator, asked for other blocks or with another seed."""
        spec = replace(
            self.spec,
            block=self.spec.block if block is None else block,
            seed=self.spec.seed if seed is None else seed,
        )
        return ModelSource(
            self.generator, spec, self.card, self.device,
            batch_size=self.batch_size, checkpoint=self.checkpoint,
        )  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """Everything the images depend on."""
        told = {"kind": "model", "noise": noise.SCHEME, **asdict(self.spec)}
        for choice in ("compiled", "kernels"):
            if not told[choice]:
                del told[choice]  # so that what was drawn before there was a choice stays
        return told

    def digest(self) -> str:
        """SHA-256 (hex) of `identity`."""
        return canonical_digest(self.identity())

    def subject(self) -> Subject:
        """What a record says of the model and its settings."""
        spec = self.spec
        return Subject(
            model=spec.model, resolution=spec.resolution, card=spec.card,
            checkpoint=self.checkpoint, checkpoint_digest=spec.checkpoint_digest,
            weight_kind=spec.weight_kind, options=spec.options, arithmetic=spec.dtype,
            block=spec.block, compiled=spec.compiled or None, kernels=spec.kernels or None,
            labels=spec.labels if self.card.classes else "", seed=spec.seed,
            code_digest=spec.code_digest,
        )  # fmt: skip

    def labels(self, start: int, stop: int) -> Tensor | None:
        """Labels int64 [stop - start] of samples start … stop-1; None without classes."""
        return scheduled_labels(self.spec.labels, self.card.classes, self.noise(start, stop))

    def noise(self, start: int, stop: int) -> NoiseStream:
        """The random numbers of samples start … stop-1, on the generator's device."""
        return NoiseStream(self.spec.seed, torch.arange(start, stop, device=self.device))

    def images(self, start: int, stop: int) -> Iterator[Tensor]:
        """Batches uint8 [n, 3, H, W] of samples start … stop-1, on the CPU; see `drawn`."""
        return (batch.cpu() for batch in self.drawn(start, stop))

    def drawn(self, start: int, stop: int) -> Iterator[Tensor]:
        """Batches uint8 [n, 3, H, W] of samples start … stop-1, on the generator's device.

        The blocks they lie in are drawn whole, so that a sample is the same bits whatever else is
        asked for.
        """
        block = self.spec.block
        together = beside_each_other() if self.spec.threads else 1
        at_once = max(together, self.batch_size // block) * block
        for first, last in spans(start - start % block, stop, at_once):
            drawn, finite = zip(*self._blocks(range(first, last, block)), strict=True)
            # One wait a call: a batch that is not finite must not reach a shard.
            check_finite([each for left in finite for each in left])
            yield torch.cat(drawn)[max(start - first, 0) : stop - first]

    def _blocks(self, begins: Sequence[int]) -> list[tuple[Tensor, list[Tensor]]]:
        """The images of whole blocks, uint8 [block, 3, H, W] each, and which are finite, as
        `finiteness_left` has it."""
        with pinned(arithmetic_named(self.spec.dtype)):
            if not self.spec.threads:
                return [self._block(self.generator, begin) for begin in begins]
            # Networks are shared, what a generator counts is not.
            return one_thread_each(lambda begin: self._block(copy(self.generator), begin), begins)

    def _block(self, generator: Generator, first: int) -> tuple[Tensor, list[Tensor]]:
        last = first + self.spec.block
        try:
            with finiteness_left() as finite:
                images = self._call(generator, first, last)
        except torch.OutOfMemoryError as error:
            raise GenbenchError(
                f"model {self.name} ran out of memory at {last - first} samples a network call: "
                f"pass --block {max(1, (last - first) // 2)}, whose figures may differ in the last "
                f"digits{unfragmented(self.device)}"
            ) from error
        self._count(generator, first, last)
        return self._checked(images, last - first), finite

    def draw(self, first: int, last: int) -> Tensor:
        """Labels, noise and the generator's call for samples first … last-1: uint8 [n, 3, H, W].

        Nothing is pinned, and nothing checked before `check_drawn`: what a speed measurement times.
        Lets torch's OutOfMemoryError through.
        """
        with finiteness_left() as self._drawn:
            return self._call(self.generator, first, last)

    def check_drawn(self) -> None:
        """Raise GenbenchError where an image of the last `draw` was not finite."""
        check_finite(self._drawn)

    def _call(self, generator: Generator, first: int, last: int) -> Tensor:
        labels = self.labels(first, last)
        with blaming(self.name, "failed while sampling"), torch.inference_mode():
            return generator.sample(labels, self.noise(first, last))

    def evaluations(self, start: int, stop: int) -> NDArray[np.float32]:
        """Network calls of samples start … stop-1, drawn before: float32 [n, 2], of the networks
        that make the image and of those that guide (see `optional.CountsEvaluations`)."""
        return np.array([self._evaluations[index] for index in range(start, stop)], np.float32)

    def _count(self, generator: Generator, first: int, last: int) -> None:
        made = guided = 0
        if isinstance(generator, CountsEvaluations):
            made = generator.evaluations
        if isinstance(generator, CountsGuidance):
            guided = generator.guide_evaluations
        for count in (made, guided):
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
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
            "convert with genbench.to_uint8 in the adapter"
        )


@contextmanager
def blaming(model: str, what: str, remedy: str | None = None) -> Iterator[None]:
    """Turn whatever a stranger's code raises into one line that names the model. remedy: None for
    that of an installed family."""
    try:
        yield
    except (GenbenchError, torch.OutOfMemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a stranger's own kinds too
        if is_out_of_memory(error):
            raise torch.OutOfMemoryError(str(error)) from error
        told = f"; `genbench check {model}` tells more" if remedy is None else remedy
        said = str(error)
        if type(error).__module__.startswith("torch._"):  # torch.compile tells pages
            said = said.strip().partition("\n")[0]
        raise GenbenchError(
            f"model {model} {what}: {type(error).__name__}: {said}{told}"
        ) from error
