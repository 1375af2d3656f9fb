"""Image sets by what the user calls them."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.images.sets import ImageSet, Part, Resized

_SLICE = re.compile(r"^(?P<spec>.+?)\[(?P<start>-?\d*):(?P<stop>-?\d*)(:(?P<step>\d*))?\]$")


def open_image_set(spec: str, *, crop: str = "none", resolution: int = 0) -> ImageSet:
    """Open images by what the user calls them.

    spec: an .npz batch, a folder, a .zip, "bundled", "fashion-mnist:test", "fashion-mnist:train",
    or one of the layouts of docs/data.md (tars, Parquet and Arrow, TFRecords, LMDB, CIFAR, a list
    of paths; several files as a pattern or a folder), each optionally with "#" and a column or the
    like, and with a part, "[a:b]" or "[a:b:step]". crop: how images are brought to `resolution`
    (see `crops`); "none" wants them to have it already (0: any size).
    Raises GenbenchError for what cannot be read and UsageError for a bad name, part or crop, with
    the remedy.
    """
    from genbench.images.crops import check_crop

    check_crop(crop, resolution)
    if (part := _SLICE.match(spec)) and not _exists(spec):
        whole = open_image_set(part["spec"], crop=crop, resolution=resolution)
        return _part_of(whole, spec, part["start"], part["stop"], int(part["step"] or 1))
    return brought_to(_open_whole(spec, crop, resolution), crop, resolution)


def brought_to(images: ImageSet, crop: str, resolution: int) -> ImageSet:
    """A set's images at a resolution (0: as they are). Raises GenbenchError when they have another
    and nothing is said of how they come to it."""
    if not resolution or images.size == (resolution, resolution):
        return images
    height, width = images.size
    if crop == "none":
        raise GenbenchError(
            f"{images.name} holds images of {width}x{height}, not {resolution}x{resolution}: pass "
            "--crop adm or --crop resize to bring them to it"
        )
    return Resized(images, crop, resolution)


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except OSError as error:  # a name too long, or a folder that must not be looked into
        raise GenbenchError(
            f"cannot read {spec[:200]}: {error.strerror}; check the path"
        ) from error


def _part_of(whole: ImageSet, spec: str, start: str, stop: str, step: int) -> ImageSet:
    if not step:
        raise UsageError(f"{spec} takes every 0th image: give a step of 1 or more")
    first, last, _ = slice(int(start) if start else None, int(stop) if stop else None).indices(
        len(whole)
    )
    if first >= last:
        raise UsageError(f"{spec} is empty: {whole.name} holds {len(whole)} images")
    if stop and int(stop) > len(whole):
        raise UsageError(
            f"{spec} goes beyond the {len(whole)} images of {whole.name}: end it there"
        )
    if last - first == len(whole) and step == 1:
        return whole
    return Part(whole, first, last, step)


def _open_whole(spec: str, crop: str, resolution: int) -> ImageSet:
    from genbench.images import layouts
    from genbench.images.datasets import NAMED, open_named
    from genbench.images.patterns import files_of, is_pattern

    if spec in NAMED:
        return open_named(spec)
    if os.path.islink(spec) and not _exists(spec):  # False for what can be no path
        raise UsageError(f"{spec} is a link to nothing: mend it, or name the file")
    place, part = _parted(spec)
    path = Path(place)
    try:
        if not _exists(place) and is_pattern(place):
            files = files_of(place)
            return layouts.open_files(files, path.name, part, crop=crop, resolution=resolution)
        if not _exists(place):
            raise UsageError(
                f"{spec or 'an empty name'} is neither a file nor a folder, and no image set has "
                f"that name; {suggestion(spec, [*NAMED, *_neighbours(place)])}; a part of a set is "
                "SET[a:b] or SET[a:b:step]"
            )
        opened = layouts.open_folder if path.is_dir() else layouts.open_file
        return opened(path, part, crop=crop, resolution=resolution)
    except OSError as error:
        raise GenbenchError(
            f"cannot read {spec}: {error.strerror}; check its permissions"
        ) from error


def _parted(spec: str) -> tuple[str, str]:
    """A name, and what stands behind its #: which column, feature or keys are meant."""
    place, mark, part = spec.rpartition("#")
    return (place, part) if mark and place and not _exists(spec) else (spec, "")


def _neighbours(spec: str) -> list[str]:
    """What lies in the folder of a path that does not exist, the nearest names alone."""
    path = Path(spec)
    try:
        names = [found.name for found in path.parent.iterdir()]
    except (OSError, ValueError):  # no such folder either, or no possible path
        return []
    return [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, names)]
