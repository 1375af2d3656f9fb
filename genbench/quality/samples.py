"""Samples drawn once into shards, and written for others: ADM batches, folders, grids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.errors import UsageError
from genbench.images.npz_writing import write_samples
from genbench.images.png_writing import save_grid, write_folder
from genbench.models.source import ModelSource
from genbench.records.provenance import package_versions
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.runtime.resumable import fill_shards
from genbench.runtime.shards import SHARD_ROWS, ShardFolder, shard_spans
from genbench.runtime.sharing import ALONE, Sharing

LAYER = "images"


def check_output(out: Path) -> None:
    """Raise UsageError, before any work is done, for a suffix that cannot be written."""
    if out.suffix not in (".npz", ".png", ""):
        raise UsageError(f"--out {out}: end it in .npz, .png (one grid), or nothing (a folder)")


def draw_samples(
    source: ModelSource,
    count: int,
    *,
    cache: Path,
    world: World,
    reporter: Reporter,
    sharing: Sharing = ALONE,
) -> ShardFolder:
    """Draw the first `count` samples into shards (uint8 [n, 3, H, W]); a killed run resumes.
    sharing: what of them this process draws."""
    folder = ShardFolder(
        cache / "samples", {"source": source.identity(), "versions": package_versions()}
    )

    def produce(start: int, stop: int) -> Iterator[dict[str, NDArray[Any]]]:
        for batch in source.images(start, stop):
            yield {LAYER: batch.numpy()}

    fill_shards(
        folder, [LAYER], count, produce, label=source.name, world=world, reporter=reporter,
        sharing=sharing,
    )  # fmt: skip
    return folder


def drawn(folder: ShardFolder, count: int) -> Iterator[Tensor]:
    """The first `count` drawn samples, uint8 [n, 3, H, W], a shard at a time. Raises UsageError
    when a shard was changed since."""
    for start, stop in shard_spans(count):
        data = folder.read(start // SHARD_ROWS, LAYER, stop - start)
        if data is None:
            raise UsageError(f"{folder.path} was changed during the run: run the command again")
        yield torch.from_numpy(data)


def export_samples(source: ModelSource, folder: ShardFolder, count: int, out: Path) -> None:
    """Write drawn samples as an ADM .npz batch, a PNG grid, or a folder of PNG files.

    The suffix of `out` decides (see `check_output`).
    """
    if out.suffix == ".npz":
        labels = source.labels(0, count)
        write_samples(out, drawn(folder, count), count, None if labels is None else labels.numpy())
    elif out.suffix == ".png":
        save_grid(out, torch.cat(list(drawn(folder, count))))
    else:
        write_folder(out, drawn(folder, count))
