"""The family that a program in a file makes, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.autoencoders import find_autoencoder
from genbench.images.rounding import Rounding
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import Weights
from genbench_adapters.programs.images import Range, batch_of, pixels_of
from genbench_adapters.programs.inputs import Draw, Input, classes_of, parse_draws, values

Run = Callable[[Mapping[str, Tensor]], object]


@dataclass(frozen=True)
class Contents:
    """What a program's file tells of itself. pixels: a side of its images (of
    latents, where it gives these); 0: not told."""

    inputs: Sequence[Input]
    pixels: int


@dataclass(frozen=True)
class Program(ABC):
    """A program with named inputs, of which each is noise or labels, and images as its first
    output."""

    input: str = field(
        default="",
        metadata={"help": 'drawn from: "z=normal y=label"; or uniform, onehot, z=normal:64'},
    )
    classes: int = field(default=0, metadata={"help": "classes, where an input is labels"})
    range: str = field(
        default="", metadata={"help": "black and white of floating-point images: --range=-1,1"}
    )
    rounding: Rounding = field(
        default="nearest", metadata={"help": "of floating-point images to grey levels"}
    )
    decode: str = field(
        default="", metadata={"help": "what decodes latents that it gives: vae:FOLDER"}
    )

    path: ClassVar[Path]
    cards: ClassVar[tuple[ModelCard, ...]]

    def __post_init__(self) -> None:
        if self.classes < 0:
            raise ValueError(f"--classes {self.classes}: a number of classes, or 0")
        if self.range:
            Range.parse(self.range)
        if self.decode:  # its digest and scaling go on record
            object.__setattr__(self, "decode", find_autoencoder(self.decode).text)

    @abstractmethod
    def contents(self) -> Contents:
        """Inputs and output of the file. Raises GenbenchError for one that cannot be read."""

    @abstractmethod
    def runner(self, device: torch.device, dtype: torch.dtype) -> Run:
        """What runs the program: inputs [N, …] by name -> its first output, images [N, C, R, R]."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 (hex) of all files that hold the program."""

    def card_for(self, resolution: int) -> ModelCard:
        """The card of the file's own size, or of the one asked for where the file does not tell."""
        found = self.contents()
        pixels = found.pixels
        if self.decode:
            pixels *= find_autoencoder(self.decode).enlarging
        if resolution and pixels not in (0, resolution):
            raise UsageError(f"{self.path.name} has images of {pixels} pixels: leave out --res")
        if not resolution and not pixels:
            raise UsageError(f"{self.path.name} does not tell how large its images are: pass --res")
        classes = classes_of(parse_draws(found.inputs, self.input), self.classes)
        return replace(self.cards[0], resolution=resolution or pixels, classes=classes)

    def weights(self) -> Weights:
        """The program's file is its weights."""
        return Weights(name=self.path.name, digest=self.digest())

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Generator:
        """The program, ready to be run on the device."""
        scale = Range.parse(self.range) if self.range else None
        draws = parse_draws(self.contents().inputs, self.input)
        run = self.runner(device, dtype)
        if self.decode:
            run, scale = self._decoded(run, device), Range(-1.0, 1.0)
        return ProgramGenerator(run, draws, scale, self.rounding, self.path.name, card.resolution)

    def _decoded(self, run: Run, device: torch.device) -> Run:
        """The program and behind it the autoencoder, in float32: inputs -> images in -1 … 1."""
        decoder = find_autoencoder(self.decode).load(device, torch.float32)

        def decoded(given: Mapping[str, Tensor]) -> object:
            latents = torch.as_tensor(run(given))
            if not latents.is_floating_point():
                raise GenbenchError(f"{self.path.name} gives no latents: leave out --decode")
            return decoder(latents)

        return decoded


class ProgramGenerator:
    """Draws images with a program; one of a fixed batch size is run as often as is needed, and on
    as many noise rows of samples that nobody asked for as it lacks."""

    def __init__(
        self, run: Run, draws: Sequence[Draw], scale: Range | None, rounding: Rounding,
        name: str, resolution: int,
    ) -> None:  # fmt: skip
        self._run, self._draws, self._name = run, draws, name
        self._scale, self._rounding, self._resolution = scale, rounding, resolution
        fixed = {draw.input.batch for draw in draws} - {None}
        self._batch = fixed.pop() if fixed else None
        self.evaluations = 1

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] of int64 labels [N] or None."""
        given = values(self._draws, labels, noise)
        size = self._batch or len(noise)
        drawn = [
            self._images({name: value[start : start + size] for name, value in given.items()}, size)
            for start in range(0, len(noise), size)
        ]
        return torch.cat(drawn).to(noise.device)

    def _images(self, given: Mapping[str, Tensor], size: int) -> Tensor:
        count = len(next(iter(given.values())))
        full = {
            name: torch.cat([value, value[-1:].expand(size - count, *value.shape[1:])])
            for name, value in given.items()
        }
        batch = batch_of(self._run(full), self._name)
        if len(batch) != size or batch.shape[2:] != (self._resolution, self._resolution):
            raise GenbenchError(
                f"{self._name} returned a tensor {list(batch.shape)} for {size} samples of "
                f"{self._resolution}×{self._resolution} pixels: check --res and its first output"
            )
        return pixels_of(batch[:count], self._scale, self._rounding, self._name)


def family_of_file(kind: type[Program], argument: str, note: str) -> type[Adapter]:
    """The family of a program's file. Raises UsageError for a path that is no file."""
    path = Path(argument).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {path}: check the path")
    card = ModelCard(name=path.name, resolution=0, note=note)
    return type(kind.__name__, (kind,), {"path": path, "cards": (card,)})
