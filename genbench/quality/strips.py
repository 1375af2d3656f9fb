"""A strip of a run's first samples, kept beside its records for people to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.png_writing import save_grid
from genbench.records.influences import influences_folder
from genbench.runtime.files import replacing
from genbench.runtime.progress import Reporter

TILES = 16  # samples of a strip, as far as they fit
_WIDEST = 2048  # pixels of a strip
_LARGEST = 256  # pixels of a tile's longer side; larger samples are shrunk


def strips_folder(records: Path) -> Path:
    """Where the strips of a record file lie: runs-samples beside runs.jsonl."""
    return influences_folder(records)


def strip_in(folder: Path, samples_digest: str) -> Path:
    """The PNG file of these samples in a folder of strips: one row of tiles side by side."""
    return folder / f"{samples_digest[:32]}.png"


def cached_strips(cache: Path) -> Path:
    """Where strips lie from the moment they are drawn, whatever becomes of the run."""
    return cache / "strips"


def keep_strip(cache: Path, samples_digest: str, images: Tensor) -> None:
    """Write the strip of a run whose first images are uint8 [n, 3, H, W]: as many of them as fit,
    at least four. Raises GenbenchError where the cache cannot be written."""
    height, width = images.shape[2:]
    if max(height, width) > _LARGEST:
        scale = _LARGEST / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        few = images[:TILES].float()
        images = F.interpolate(few, size, mode="area").round().clamp(0, 255).byte()
    fitting = min(TILES, max(4, _WIDEST // images.shape[3]), len(images))
    strip = strip_in(cached_strips(cache), samples_digest)
    save_grid(strip, images[:fitting], columns=fitting, enlarged=False)  # the page enlarges it


def keep_beside(
    records: Path, cache: Path, samples_digests: Iterable[str], reporter: Reporter
) -> None:
    """As `bring_beside`; where that fails, a note: the figures stand without pictures."""
    try:
        bring_beside(records, cache, samples_digests)
    except GenbenchError as error:
        reporter.note(f"no strip of samples beside the records: {error}")


def bring_beside(records: Path, cache: Path, samples_digests: Iterable[str]) -> None:
    """Copy the strips of these samples from the cache into the folder beside a record file, those
    that the cache has. Raises GenbenchError where that folder cannot be written."""
    if not records.is_file():  # a pipe has nothing beside it
        return
    for digest in dict.fromkeys(samples_digests):
        drawn = strip_in(cached_strips(cache), digest)
        kept = strip_in(strips_folder(records), digest)
        if digest and drawn.is_file() and not kept.exists():
            with replacing(kept) as temporary:
                shutil.copyfile(drawn, temporary)
