"""The inputs of a program: what each is called, how large it is, and what it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from genbench.errors import UsageError, suggestion
from genbench.models.noise import NoiseStream

KINDS = ("normal", "uniform", "label", "onehot")
_LABELS = {"label", "labels", "y", "class_labels", "classes", "class_label"}


@dataclass(frozen=True)
class Input:
    """One input. shape: of one sample, without the batch; None: of any length, not told by the
    file. batch: None: any. dtype: as the program wants it."""

    name: str
    shape: tuple[int | None, ...]
    batch: int | None
    dtype: torch.dtype


@dataclass(frozen=True)
class Draw:
    """How an input is drawn: a kind of KINDS, and the shape of one sample."""

    input: Input
    kind: str
    shape: tuple[int, ...]


def parse_draws(inputs: Sequence[Input], given: str) -> list[Draw]:
    """What each input is drawn from.

    given: "z=normal y=label", with a shape where the file has none: "z=normal:128". Without it a
    whole-numbered input is labels, and any other normal. Raises UsageError for names and kinds
    that there are not, and for a shape that nobody told.
    """
    told = dict(_pair(part) for part in given.split())
    names = [item.name for item in inputs]
    for name in told:
        if name not in names:
            raise UsageError(f"--input {name}: no input has this name; {suggestion(name, names)}")
    return [_draw(item, told.get(item.name, "")) for item in inputs]


def _pair(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not equals:
        raise UsageError(f"--input {text}: write NAME=KIND, as in z=normal or z=normal:4,32,32")
    return name.strip(), kind.strip()


def _draw(item: Input, given: str) -> Draw:
    kind, _, shape = given.partition(":")
    kind = kind or _guessed(item)
    if kind not in KINDS:
        raise UsageError(f"--input {item.name}={kind}; {suggestion(kind, KINDS)}")
    if kind == "label":
        return Draw(item, kind, ())
    try:
        sides = tuple(int(part) for part in shape.split(",")) if shape else item.shape
    except ValueError:
        raise UsageError(f"--input {item.name}={given}: a shape is 128, or 4,32,32") from None
    known = tuple(side for side in sides if side is not None)
    if len(known) < len(sides) or any(side < 1 for side in known):
        raise UsageError(
            f"input {item.name} has no fixed shape: say it, --input {item.name}={kind}:128"
        )
    return Draw(item, kind, known)


def _guessed(item: Input) -> str:
    if not item.dtype.is_floating_point:
        return "label"
    return "onehot" if item.name.lower() in _LABELS else "normal"


def classes_of(draws: Sequence[Draw], asked: int) -> int:
    """How many classes a program has: of a one-hot input its width, else as asked. Raises
    UsageError where labels are wanted and nobody said of how many classes."""
    for draw in draws:
        if draw.kind == "onehot":
            return prod(draw.shape)
        if draw.kind == "label" and not asked:
            raise UsageError(
                f"input {draw.input.name} is labels: say how many classes there are, --classes 10"
            )
    if asked and all(draw.kind != "label" for draw in draws):
        raise UsageError("no input is labels: leave out --classes, or say which, --input y=label")
    return asked


def values(
    draws: Sequence[Draw], labels: Tensor | None, noise: NoiseStream
) -> Mapping[str, Tensor]:
    """What goes into a program for the samples of `noise`, by name: [N, *shape] each.

    Every input of random numbers has its own step of the noise.
    """
    found = {}
    for step, draw in enumerate(draws):
        if draw.kind in ("label", "onehot"):
            assert labels is not None  # a card with such an input has classes
            value = labels
            if draw.kind == "onehot":
                value = torch.nn.functional.one_hot(labels, prod(draw.shape))
                value = value.reshape(-1, *draw.shape)
            elif draw.input.shape == (1,):
                value = labels[:, None]
        elif draw.kind == "uniform":
            value = noise.uniform(draw.shape, step=step)
        else:
            value = noise.normal(draw.shape, step=step)
        found[draw.input.name] = value.to(draw.input.dtype)
    return found
