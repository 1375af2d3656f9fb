"""The family that a function of the user's makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.images.autoencoders import find_autoencoder
from genbench.images.rounding import Rounding
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import Opener
from genbench.weights.loading import load_state_strictly, load_tensors
from genbench_adapters.function.arguments import SETTINGS, settings_wanted, wanted_by
from genbench_adapters.function.generator import CalledFunction, Output, ReadInOrder, raising
from genbench_adapters.function.loading import Place, digest_of, found_in, line_of, place_of
from genbench_adapters.function.surroundings import Randomness
from genbench_adapters.programs.images import Range

_PROBED = 2  # images drawn to see how large they are


@dataclass(frozen=True)
class FunctionModel:
    """A function `(labels, noise) -> images`, or of `z`; a class or module that is called so; or a
    function without arguments that gives batches, which are read in order."""

    classes: int = field(default=0, metadata={"help": "classes of the labels; 0: unconditional"})
    latent: str = field(
        default="", metadata={"help": "normal numbers of one sample, 128 or 4,32,32, for a z"}
    )
    range: str = field(
        default="", metadata={"help": "black and white of floating-point images: --range=-1,1"}
    )
    rounding: Rounding = field(
        default="nearest", metadata={"help": "of floating-point images to grey levels"}
    )
    one_by_one: bool = field(
        default=False, metadata={"help": "call it for one sample at a time, slowly"}
    )

    decode: str = field(
        default="", metadata={"help": "what decodes latents that it returns: vae:FOLDER"}
    )

    place: ClassVar[Place]
    cards: ClassVar[tuple[ModelCard, ...]]

    def __post_init__(self) -> None:
        if self.classes < 0:
            raise ValueError(f"--classes {self.classes}: a number of classes, or 0")
        self._shape()
        self._scale()
        if self.decode:  # its digest and scaling go on record
            object.__setattr__(self, "decode", find_autoencoder(self.decode).text)

    def _shape(self) -> tuple[int, ...]:
        """Of one sample's latent; empty without one."""
        try:
            shape = tuple(int(part) for part in self.latent.split(",")) if self.latent else ()
        except ValueError:
            shape = (0,)
        if any(side < 1 for side in shape):
            raise ValueError(f"--latent {self.latent}: write 128, or 4,32,32")
        return shape

    def _scale(self) -> Range | None:
        return Range.parse(self.range) if self.range else None

    def card_for(self, resolution: int) -> ModelCard:
        """The card of images of that many pixels a side; 0: two are drawn to see."""
        return replace(self.cards[0], classes=self.classes, resolution=resolution or self._probed())

    def code(self) -> str:
        """Digest of the user's file and of the modules beside it that it imports."""
        return digest_of(self.place)

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Generator:
        """The function, imported, or its class made; `checkpoint` is handed on to one that takes
        it, and loaded into a module's weights otherwise."""
        settings: dict[str, Any] = {
            "device": device, "dtype": dtype, "resolution": card.resolution,
            "classes": card.classes, "checkpoint": checkpoint,
        }  # fmt: skip
        return self._generator(settings, card.resolution)

    def _probed(self) -> int:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        settings: dict[str, Any] = dict.fromkeys(SETTINGS) | {
            "device": device, "dtype": torch.float32, "classes": self.classes,
        }  # fmt: skip
        generator = self._generator(settings, 0)
        labels = torch.zeros(_PROBED, dtype=torch.int64, device=device) if self.classes else None
        with torch.inference_mode():
            images = generator.sample(labels, NoiseStream(0, torch.arange(_PROBED), device))
        height, width = images.shape[2:]
        if height != width:
            raise GenbenchError(
                f"{self.place.shown} returned images {height}×{width}: return square images"
            )
        return int(height)

    def _generator(self, settings: dict[str, Any], resolution: int) -> Generator:
        place = self.place
        decoder, scale = None, self._scale()
        if self.decode:
            decoder = find_autoencoder(self.decode).load(settings["device"], settings["dtype"])
            scale = Range(-1.0, 1.0)
        output = Output(
            resolution=resolution, scale=scale, rounding=self.rounding, decode=decoder
        )  # fmt: skip
        with Randomness(0).current():  # weights drawn for lack of others are the same anywhere
            found = found_in(place)
        used = set[str]()
        if isinstance(found, type) or _makes_model(found):
            with Randomness(0).current():
                found = _made(found, place, settings, used)  # type: ignore[arg-type]
        with raising(place):
            function = _called(found, place, settings, used)
        if isinstance(function, Iterator):
            given = iter(function)
            return ReadInOrder(_once(given, place), output, place=place, where=place.shown)
        where = line_of(getattr(found, "forward", found), place)
        wanted = wanted_by(function, where, latent=bool(self.latent))
        if "resolution" in wanted.roles | used and not resolution:
            raise UsageError(f"{where} takes a resolution: say it, --res 32")
        if settings["checkpoint"] is not None and "checkpoint" not in used | wanted.roles:
            raise UsageError(f"{where} takes no checkpoint: leave it out, or load it yourself")
        if not wanted.of_samples:
            begin = _beginning(
                lambda seed: wanted.call(function, settings | {"seed": seed}), place, where
            )
            return ReadInOrder(begin, output, place=place, where=where)
        return CalledFunction(
            function, wanted, output, place=place, where=where, settings=settings,
            latent=self._shape(), dtype=settings["dtype"], one_by_one=self.one_by_one,
        )  # fmt: skip


def _made(
    maker: Callable[..., Any], place: Place, settings: dict[str, Any], used: set[str]
) -> object:
    """An instance of a class, given what of the settings its signature takes."""
    where = line_of(maker if not isinstance(maker, type) else maker.__init__, place)  # type: ignore[misc]
    wanted = settings_wanted(maker, where)
    used |= wanted.roles
    with raising(place):
        return wanted.call(maker, settings)


def _makes_model(found: object) -> bool:
    """Whether a function says that it returns a module."""
    told = getattr(found, "__annotations__", {}).get("return", "")
    return "Module" in str(getattr(told, "__name__", told))


def _called(
    found: object, place: Place, settings: dict[str, Any], used: set[str]
) -> Callable[..., Any] | Iterator[object]:
    """What of an object is called for images, or the iterator that it is."""
    if isinstance(found, torch.nn.Module):
        if settings["checkpoint"] is not None and "checkpoint" not in used:
            used.add("checkpoint")
            load_state_strictly(found, load_tensors(settings["checkpoint"]), what=place.shown)
        moved = found.to(settings["device"], settings["dtype"]).eval()
        own: Any = getattr(moved, "sample", None)
        return own if callable(own) else moved.forward
    if isinstance(found, Iterator):
        return found
    if callable(getattr(found, "sample", None)) and not inspect.isroutine(found):
        return found.sample  # type: ignore[attr-defined]
    if callable(found):
        return found
    raise UsageError(
        f"{place.shown} is a {type(found).__name__}: name a function, a class or a torch module"
    )


def _once(given: Iterator[object], place: Place) -> Callable[[int], Iterator[object]]:
    """An iterator that a module holds, which can be read but once."""
    left = [given]

    def begin(seed: int) -> Iterator[object]:
        if not left:
            raise GenbenchError(
                f"{place.shown} is an iterator that was read already: name the function that makes "
                "it, which can be called again"
            )
        return left.pop()

    return begin


def _beginning(
    call: Callable[[int], object], place: Place, where: str
) -> Callable[[int], Iterator[object]]:
    """A function that gives an iterable, called with the seed for a fresh one."""

    def begin(seed: int) -> Iterator[object]:
        with raising(place):
            found = call(seed)
            if isinstance(found, torch.Tensor) or not isinstance(found, Iterable):
                raise GenbenchError(
                    f"{where} takes nothing and returned a {type(found).__name__}: yield batches "
                    "of images, or take (labels, noise)"
                )
            return iter(found)

    return begin


def family_of(argument: str) -> type[Adapter]:
    """The family of FILE.py:NAME or package.module:NAME. Raises UsageError for anything else."""
    place = place_of(argument)
    card = ModelCard(
        name=place.shown, resolution=0,
        note="yours; --res says its size, else two images are drawn to see",
    )  # fmt: skip
    return type("FunctionModel", (FunctionModel,), {"place": place, "cards": (card,)})


OPENER = Opener(
    takes="FILE.py:NAME",
    about="your function or torch module; the word function: may be left out (docs/any-model.md)",
    family=family_of,
)
