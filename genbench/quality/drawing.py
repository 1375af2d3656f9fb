"""Images drawn by a function that is no model of genbench's, kept as a set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.arrays import images_of
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.source import blaming
from genbench.quality.source import SetSource, sides
from genbench.records.measurement import Subject
from genbench.runtime.progress import Reporter
from genbench.runtime.spans import spans

Draw = Callable[[Tensor | None, NoiseStream], Tensor]


def drawn_by(
    draw: Draw,
    count: int,
    *,
    device: torch.device,
    classes: int,
    seed: int,
    labels: str,
    batch_size: int,
    name: str,
    reporter: Reporter,
) -> SetSource:
    """The first `count` images of a function, drawn once and measured like any other images: what
    it does cannot be digested, so its pixels are.

    draw: labels int64 [n] (None without classes) and noise -> images uint8 [n, 3, H, W]; sample i
    depends on (seed, i) alone if all its random numbers come from the noise. Raises GenbenchError
    for a function that raises, or gives other images.
    """
    name = name or getattr(draw, "__name__", "") or type(draw).__name__
    chosen: list[Tensor] = []

    def batches() -> Iterator[Tensor]:
        with reporter.task(f"{name}: drawing", count) as advance:
            for first, last in spans(0, count, batch_size):
                numbers = torch.arange(first, last)
                noise = NoiseStream(seed, numbers, device)
                wanted = scheduled_labels(labels, classes, noise)
                with blaming(name, "failed while sampling", ""), torch.inference_mode():
                    images = draw(wanted, noise)
                if not isinstance(images, Tensor) or len(images) != len(numbers):
                    raise GenbenchError(
                        f"{name} gave {_described(images)} for {len(numbers)} samples: return one "
                        "image uint8 [3, H, W] for each"
                    )
                if wanted is not None:
                    chosen.append(wanted.cpu())
                yield images
                advance(len(images))

    images = images_of(batches(), name=name)
    images.labels = torch.cat(chosen).numpy() if chosen else None
    subject = Subject(
        model=name, seed=seed, labels=labels if classes else "", **sides(*images.size)
    )
    return SetSource(images, subject)


def _described(images: object) -> str:
    if isinstance(images, Tensor):
        return f"a tensor {list(images.shape)}"
    return f"a {type(images).__name__}"
