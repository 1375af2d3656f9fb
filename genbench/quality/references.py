"""References opened: image sets, and files of statistics or features that stand for images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.images.opening import brought_to, open_image_set
from genbench.images.sets import ImageSet
from genbench.quality.known_references import (
    KnownReference,
    find_reference,
    reference_named,
    reference_path,
)
from genbench.quality.source import SetSource
from genbench.quality.statistics_files import ReferenceStatistics
from genbench.quality.statistics_readers import read_held
from genbench.records.comparability import other_detector
from genbench.runtime.digests import file_sha256

_FOREIGN = "inception"  # what files of others are of, as far as one can tell


@dataclass(frozen=True, kw_only=True)
class OpenedReference:
    """A reference before its images have met the detector.

    statistics: published ones that stand for its images, and are used in their place. features: of
    images that are not there, layer to [N, D]. known: what is published of
    the file. notes: for people, on how far the statistics can be trusted.
    """

    name: str
    digest: str
    images: ImageSet | None
    statistics: ReferenceStatistics | None = None
    features: Mapping[str, NDArray[Any]] | None = None
    known: KnownReference | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Images there are to be compared with one by one; 0 with statistics alone."""
        if self.features is not None:
            return len(self.features["pool"])
        return 0 if self.images is None else len(self.images)

    @property
    def labels(self) -> Tensor | None:
        """Labels int64 [rows] of its images; None where these have none."""
        return None if self.images is None else SetSource(self.images).labels(0, self.rows)

    def has_moments(self, layer: str) -> bool:
        """Whether mean and covariance of a layer can be had: from statistics or two images."""
        if self.features is not None and layer not in self.features:
            return False
        return layer in published_layers(self.statistics) or self.rows > 1


def open_reference(
    spec: str | ImageSet, *, crop: str, size: tuple[int, int], detector: str = _FOREIGN
) -> OpenedReference:
    """Open an image set, a reference file or a published one by its name. Statistics of images that
    were cropped or resized are left aside; whether a detector made them is `suited_to`'s question.

    size: (H, W) of the samples, which the reference's images must have or, with `crop`, are brought
    to. detector: whose statistics to take of a file with those of several. Raises GenbenchError for
    images that do not come to it.
    """
    height, width = size
    opened = _opened(spec, crop, height if height == width else 0, detector)
    if opened.images is not None and opened.images.size != size:
        high, wide = opened.images.size
        raise GenbenchError(
            f"{opened.name} holds images of {wide}x{high}, not {width}x{height} as the samples: "
            "bring both to one square size with --crop adm or --crop resize and --res"
        )
    return opened


def _opened(spec: str | ImageSet, crop: str, resolution: int, detector: str) -> OpenedReference:
    if not isinstance(spec, str):
        return _of_images(brought_to(spec, crop, resolution))
    path = Path(reference_path(spec))
    held = read_held(path, detector)
    if held is None or (held.statistics is None and held.features is None):
        return _of_images(open_image_set(str(path), crop=crop, resolution=resolution))
    known = reference_named(path.name) if str(path) == spec else find_reference(spec)
    opened = OpenedReference(
        name=known.name if known else path.name, digest=file_sha256(path), images=None,
        statistics=held.statistics, features=held.features, known=known,
    )  # fmt: skip
    if known and not opened.digest.startswith(known.digest):
        raise GenbenchError(
            f"{path} is damaged or another file than {known.name} (SHA-256 {opened.digest}, not "
            f"{known.digest}): delete it, and {known.how_to_get}"
        )
    if not held.images:
        _check_size(opened, crop, resolution)
        return opened
    stored = open_image_set(str(path))
    images = brought_to(stored, crop, resolution)
    if images is not stored:
        note = f"{path.name}: its statistics are not of images brought to {resolution} pixels"
        return replace(_of_images(images), notes=(f"{note}: computed from its images instead",))
    return replace(opened, name=images.name, images=images)


def _check_size(opened: OpenedReference, crop: str, resolution: int) -> None:
    """Raises GenbenchError for statistics without images that are of another size than the samples,
    or of an unknown one where the samples were brought to theirs."""
    meta = opened.statistics.meta if opened.statistics else None
    size = meta.size if meta else None
    if opened.known and opened.known.resolution:
        size = (opened.known.resolution, opened.known.resolution)
    if size is None and crop != "none":
        raise GenbenchError(
            f"{opened.name} holds {_what(opened)} alone and does not say of what size its images "
            "were: leave --crop out, or pass --ref IMAGES"
        )
    if size is not None and resolution and tuple(size) != (resolution, resolution):
        raise GenbenchError(
            f"{opened.name} holds {_what(opened)} of images of {size[1]}x{size[0]}, not of "
            f"{resolution}x{resolution} as the samples: pass --ref IMAGES with --crop and --res"
        )


def _what(opened: OpenedReference) -> str:
    return "statistics" if opened.features is None else "features"


def refuse_statistics_of_others(opened: OpenedReference, detector: str) -> None:
    """Raises GenbenchError, before the detector is there, for a file of statistics or features
    alone that another detector made."""
    if opened.images is not None:
        return
    meta = opened.statistics.meta if opened.statistics else None
    made_by = (meta.detector,) if meta else tuple(opened.known.detectors) if opened.known else ()
    if made_by and detector not in made_by:
        others = " and ".join(made_by)
        raise _useless(opened, f"its statistics are of {others}, not {detector}", detector)


def suited_to(
    opened: OpenedReference, detector: Detector, *, preprocessing: str = ""
) -> OpenedReference:
    """The reference with its statistics if this detector made them, as far as one can tell, else
    without them. preprocessing: the protocol's, where it is not the detector's own. Raises
    GenbenchError when nothing is left."""
    widths = {layer: array.shape[1] for layer, array in (opened.features or {}).items()}
    if problem := _too_wide(widths, detector):
        raise _useless(opened, problem, detector.name)
    if opened.statistics is not None and (problem := _not_of(opened, detector, preprocessing)):
        if opened.images is None:
            raise _useless(opened, problem, detector.name)
        note = f"{opened.name}: {problem}: computed from its images instead"
        return replace(_of_images(opened.images), notes=(*opened.notes, note))
    notes = _on_trust(opened, detector, preprocessing)
    return replace(opened, notes=(*opened.notes, *notes))


def _useless(opened: OpenedReference, problem: str, detector: str) -> GenbenchError:
    return GenbenchError(
        f"{opened.name} holds {_what(opened)} alone, and {problem}: make it with this detector "
        f"(`genbench ref IMAGES --out FILE --detector {detector}`), or pass --ref IMAGES"
    )


def _of_images(images: ImageSet) -> OpenedReference:
    return OpenedReference(name=images.name, digest=images.digest(), images=images)


def _not_of(opened: OpenedReference, detector: Detector, preprocessing: str) -> str:
    """Why statistics cannot stand for what a detector would give; empty when they can."""
    statistics, known = opened.statistics, opened.known
    assert statistics is not None
    meta = statistics.meta
    if meta is None and opened.images is not None:
        if known is None and preprocessing:
            return f"its statistics do not say whether they are of {preprocessing}"
        if known is not None and _prepared(known, detector) != preprocessing:
            return f"its statistics are not of {preprocessing or 'the input of ' + detector.name}"
        if detector.name != _FOREIGN:
            return "its statistics do not say what made them, and are taken for Inception's"
    if meta is not None and meta.detector != detector.name:
        return f"its statistics are of {meta.detector}, not {detector.name}"
    if meta and (difference := other_detector(meta.identity, detector.identity)):
        return f"its statistics were made by another {detector.name} ({difference} here)"
    return _too_wide(statistics.widths, detector)


def _prepared(known: KnownReference, detector: Detector) -> str | None:
    """The preprocessing before the detector that made a published file; None: not this one."""
    return known.detectors.get(detector.name)


def _too_wide(widths: Mapping[str, int], detector: Detector) -> str:
    """Which features are of another width than the detector's; empty for none."""
    for layer, width in widths.items():
        if detector.layers.get(layer, width) != width:
            return (
                f"its {layer} features are {width} wide where {detector.name} gives "
                f"{detector.layers[layer]}"
            )
    return ""


def _on_trust(opened: OpenedReference, detector: Detector, preprocessing: str) -> list[str]:
    """What a reader must know of statistics, or features in their place, that are used."""
    statistics, known = opened.statistics, opened.known
    meta = statistics.meta if statistics else None
    foreign = opened.features is not None or (statistics is not None and meta is None)
    if foreign and known is None and not (statistics and statistics.detector):
        told = f"{opened.name} does not say which weights made its {_what(opened)}"
        return [f"{told}: taken on trust"]
    if foreign and known and (prepared := _prepared(known, detector)) != preprocessing:
        own = f"{detector.name}'s own"
        return [
            f"{opened.name} is of images prepared in another way ({prepared or own}) than the "
            f"samples ({preprocessing or own}): the figures are of no published protocol"
        ]
    images = opened.images
    if meta and images is not None and meta.images_digest not in ("", images.digest()):
        return [
            f"Fréchet distances are to the statistics of {opened.name}, made of {meta.count:,} "
            f"images, not of the {len(images):,} that it holds"
        ]
    return []


def published_layers(statistics: ReferenceStatistics | None) -> frozenset[str]:
    """The layers whose mean and covariance a reference file brings."""
    return frozenset() if statistics is None else frozenset(statistics.widths)
