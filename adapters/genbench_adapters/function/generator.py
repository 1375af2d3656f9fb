"""A user's function as a generator: called for samples by index, or read in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.rounding import Rounding
from genbench.models.noise import NoiseStream
from genbench_adapters.function.arguments import Wanted
from genbench_adapters.function.blame import told
from genbench_adapters.function.loading import Place, root_of
from genbench_adapters.function.surroundings import Randomness, kept_apart
from genbench_adapters.programs.images import Range, batch_of, pixels_of

Decode = Callable[[Tensor], Tensor]  # latents float [N, C, H, W] -> images in [-1, 1]


@dataclass(frozen=True, kw_only=True)
class Output:
    """How what a function returns becomes pixels. resolution: 0 for any square one. decode: of
    latents; None: it returns images."""

    resolution: int
    scale: Range | None
    rounding: Rounding
    decode: Decode | None = None

    def images(self, returned: object, where: str, count: int | None) -> Tensor:
        """uint8 [count, 3, H, W]; count None: as many as there are. Raises GenbenchError."""
        if self.decode is not None:
            returned, where = self._decoded(returned, where), f"{where}, decoded,"
        batch = batch_of(returned, where)
        if count is not None and len(batch) != count:
            raise GenbenchError(
                f"{where} returned {len(batch)} images for {count} samples: return one for each"
            )
        height, width = batch.shape[2:]
        if self.resolution and (height, width) != (self.resolution, self.resolution):
            remedy = f"pass --res {height}" if height == width else "return square images"
            raise GenbenchError(
                f"{where} returned images {height}×{width} where {self.resolution}×"
                f"{self.resolution} are wanted: {remedy}"
            )
        return pixels_of(batch, self.scale, self.rounding, where)

    def _decoded(self, returned: object, where: str) -> Tensor:
        assert self.decode is not None
        if not isinstance(returned, Tensor) or not returned.is_floating_point():
            raise GenbenchError(f"{where} returned no latents: --decode takes a float tensor")
        return self.decode(returned)


class CalledFunction:
    """A function of samples. one_by_one: it is called for one sample at a time."""

    def __init__(
        self, function: Callable[..., Any], wanted: Wanted, output: Output, *, place: Place,
        where: str, settings: Mapping[str, Any], latent: tuple[int, ...], dtype: torch.dtype,
        one_by_one: bool,
    ) -> None:  # fmt: skip
        self._function, self._wanted, self._output = function, wanted, output
        self._place, self._where, self._settings = place, where, settings
        self._latent, self._dtype, self._one_by_one = latent, dtype, one_by_one

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, H, W] of int64 labels [N] or None."""
        if not self._one_by_one:
            return self._call(labels, noise)
        device, rows = noise.device, range(len(noise))
        return torch.cat([
            self._call(
                None if labels is None else labels[row : row + 1],
                NoiseStream(noise.seed, noise.indices[row : row + 1], device),
            )
            for row in rows
        ])  # fmt: skip

    def _call(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        given = {**self._settings, "labels": labels, "noise": noise, "seed": noise.seed}
        with raising(self._place, lambda error: self._hint(error, labels)):
            if self._latent:  # drawn here, so that gradients may be had of it
                given["latent"] = noise.normal(self._latent).to(self._dtype)
            returned = self._wanted.call(self._function, given)
        return self._output.images(returned, self._where, len(noise))

    def _hint(self, error: BaseException, labels: Tensor | None) -> str:
        if "NoiseStream" in str(error):
            return (
                "; noise is a genbench.NoiseStream and no tensor: draw from it, "
                "noise.normal((128,)) for [N, 128], or take z and pass --latent 128"
            )
        if labels is None and "labels" in self._wanted.roles and "NoneType" in str(error):
            return "; its labels were None: say how many classes there are, --classes 10"
        return ""


@contextmanager
def raising(place: Place, hint: Callable[[BaseException], str] = lambda _: "") -> Iterator[None]:
    """Runs a user's code kept apart, and turns what it raises into one line that says where.
    hint: what to add to it."""
    try:
        with kept_apart(place):
            yield
    except (GenbenchError, torch.OutOfMemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        text = told(error, root_of(place))
        raise GenbenchError(f"{place.shown}: {text}{hint(error)}") from error


class ReadInOrder:
    """A function that gives batches of images one after the other: sample i is the i-th image.

    Samples before the last one read are had by calling the function again and reading up to them.
    begin: calls it, given the seed, from which the generators that all code shares begin too.
    """

    in_order = True

    def __init__(
        self, begin: Callable[[int], Iterator[object]], output: Output, *, place: Place, where: str
    ) -> None:
        self._begin, self._output, self._place, self._where = begin, output, place, where
        self._batches: Iterator[object] | None = None
        self._position, self._left, self._seed = 0, torch.empty(0), 0
        self._randomness = Randomness(0)

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """The images uint8 [N, 3, H, W] of the samples' numbers, which follow one another."""
        if not len(noise):
            return torch.empty((0, 3, self._output.resolution, self._output.resolution)).byte()
        first = int(noise.indices[0])
        if self._batches is None or first < self._position or noise.seed != self._seed:
            self._randomness = Randomness(noise.seed)
            with self._randomness.current():
                self._batches = self._begin(noise.seed)
            self._position, self._seed, self._left = 0, noise.seed, torch.empty(0)
        self._take(first - self._position, keep=False)
        return self._take(len(noise), keep=True).to(noise.device)

    def _take(self, count: int, *, keep: bool) -> Tensor:
        taken = []
        while count:
            if not len(self._left):
                self._left = self._next()
            part, self._left = self._left[:count], self._left[count:]
            count -= len(part)
            self._position += len(part)
            if keep:
                taken.append(part)
        return torch.cat(taken) if taken else torch.empty(0)

    def _next(self) -> Tensor:
        assert self._batches is not None
        with self._randomness.current(), raising(self._place):
            try:
                returned = next(self._batches)
            except StopIteration:
                count = self._position
                block = next(size for size in range(25, 0, -1) if count % size == 0)
                raise GenbenchError(
                    f"{self._where} ended after {count} images: let it go on, or ask for these: "
                    f"-n {count} --block {block}"
                    if count
                    else f"{self._where} gave no images"
                ) from None
        images = self._output.images(returned, self._where, None)
        if not len(images):  # for ever, maybe
            raise GenbenchError(f"{self._where} gave a batch of no images: leave such out")
        return images
