"""References opened: image sets, and files of statistics or features that stand for images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

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
from genbench.quality.statistics_files import ReferenceStatistics
from genbench.quality.statistics_readers import HeldStatistics, read_held
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
    def labelled(self) -> bool:
        """Whether its images have labels."""
        return self.images is not None and self.images.labels is not None

    def has_moments(self, layer: str) -> bool:
        """Whether mean and covariance of a layer can be had: from statistics or two images."""
        if self.features is not None and layer not in self.features:
            return False
        return layer in published_layers(self.statistics) or self.rows > 1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a reference is to be compared with: samples of a size (H, W), brought to it by `crop`,
    that a detector sees prepared in a certain way ("": its own)."""

    size: tuple[int, int]
    crop: str = "none"
    detector: str = _FOREIGN
    preprocessing: str = ""

    @property
    def resolution(self) -> int:
        """Of square samples, in pixels; 0 for others."""
        return self.size[0] if self.size[0] == self.size[1] else 0


def open_reference(spec: str | ImageSet, wanted: Wanted) -> OpenedReference:
    """Open an image set, a reference file or a published one by its name. Statistics of images that
    were cropped, resized or prepared in another way are left aside where the images are there;
    whether the very detector made them is `suited_to`'s question.

    Raises GenbenchError for images that are not of the samples' size, and cannot be brought to it.
    """
    opened = _opened(spec, wanted)
    if opened.images is not None and opened.images.size != wanted.size:
        (high, wide), (height, width) = opened.images.size, wanted.size
        raise GenbenchError(
            f"{opened.name} holds images of {wide}x{high}, not {width}x{height} as the samples: "
            "bring both to one square size with --crop adm or --crop resize and --res"
        )
    return opened


def _opened(spec: str | ImageSet, wanted: Wanted) -> OpenedReference:
    if not isinstance(spec, str):
        return _of_images(brought_to(spec, wanted.crop, wanted.resolution))
    path = Path(reference_path(spec))
    held = read_held(path, wanted.detector)
    if held is None or (held.statistics is None and held.features is None):
        images = open_image_set(str(path), crop=wanted.crop, resolution=wanted.resolution)
        return _of_images(images)
    known = reference_named(path.name) if str(path) == spec else find_reference(spec)
    digest = file_sha256(path)
    if known and known.sha256 and known.sha256 != digest:
        raise GenbenchError(
            f"{path} is damaged or another file than {known.name} (SHA-256 {digest[:16]}…, not "
            f"{known.sha256[:16]}…): delete it and {known.how_to_get}"
        )
    prepared = known.detectors.get(wanted.detector, wanted.preprocessing) if known else None
    differs = known is not None and prepared != wanted.preprocessing
    if not held.images:
        opened = _without_images(path, digest, held, known, wanted)
        return replace(opened, notes=(_prepared(opened, prepared, wanted),)) if differs else opened
    stored = open_image_set(str(path))
    images = brought_to(stored, wanted.crop, wanted.resolution)
    if images is not stored or differs:
        how = f"brought to {wanted.resolution} pixels" if images is not stored else "prepared so"
        note = f"{path.name}: its statistics are not of images {how}: computed from its images"
        return replace(_of_images(images), notes=(f"{note} instead",))
    return OpenedReference(
        name=images.name, digest=digest, images=images, statistics=held.statistics, known=known
    )


def _prepared(opened: OpenedReference, prepared: str | None, wanted: Wanted) -> str:
    own = f"{wanted.detector}'s own"
    return (
        f"{opened.name} is of images prepared in another way ({prepared or own}) than the samples "
        f"({wanted.preprocessing or own}): the figures are of no published protocol"
    )


def _without_images(
    path: Path, digest: str, held: HeldStatistics, known: KnownReference | None, wanted: Wanted
) -> OpenedReference:
    """Raises GenbenchError for statistics of images of another size than the samples, or of an
    unknown one where the samples were brought to theirs."""
    meta = held.statistics.meta if held.statistics else None
    size = meta.size if meta else None
    if known and known.resolution:
        size = (known.resolution, known.resolution)
    name = known.name if known else path.name
    what = "statistics" if held.features is None else "features"
    if size is None and wanted.crop != "none":
        raise GenbenchError(
            f"{name} holds {what} alone and does not say of what size its images were: "
            "leave --crop out, or pass --ref IMAGES"
        )
    if size is not None and wanted.resolution and tuple(size) != wanted.size:
        side = wanted.resolution
        raise GenbenchError(
            f"{name} holds {what} of images of {size[1]}x{size[0]}, not of {side}x{side} as the "
            "samples: pass --ref IMAGES with --crop and --res"
        )
    return OpenedReference(
        name=name, digest=digest, images=None, statistics=held.statistics, features=held.features,
        known=known,
    )  # fmt: skip


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


def suited_to(opened: OpenedReference, detector: Detector) -> OpenedReference:
    """The reference with its statistics if this detector made them, as far as one can tell, else
    without them. Raises GenbenchError when nothing is left."""
    widths = {layer: array.shape[1] for layer, array in (opened.features or {}).items()}
    if problem := _too_wide(widths, detector):
        raise _useless(opened, problem, detector.name)
    statistics = opened.statistics
    if statistics is None:
        return replace(opened, notes=(*opened.notes, *_on_trust(opened)))
    if problem := _not_of(statistics, detector, foreign_is_used=opened.images is None):
        if opened.images is None:
            raise _useless(opened, problem, detector.name)
        note = f"{opened.name}: {problem}: computed from its images instead"
        return replace(_of_images(opened.images), notes=(*opened.notes, note))
    return replace(opened, notes=(*opened.notes, *_on_trust(opened)))


def _useless(opened: OpenedReference, problem: str, detector: str) -> GenbenchError:
    what = "statistics" if opened.features is None else "features"
    return GenbenchError(
        f"{opened.name} holds {what} alone, and {problem}: make it with this detector "
        f"(`genbench ref IMAGES --out FILE --detector {detector}`), or pass --ref IMAGES"
    )


def _of_images(images: ImageSet) -> OpenedReference:
    return OpenedReference(name=images.name, digest=images.digest(), images=images)


def _not_of(statistics: ReferenceStatistics, detector: Detector, *, foreign_is_used: bool) -> str:
    """Why statistics cannot stand for what a detector would give; empty when they can."""
    meta = statistics.meta
    if meta is None and detector.name != _FOREIGN and not foreign_is_used:
        return "its statistics do not say what made them, and are taken for Inception's"
    if meta is not None and meta.detector != detector.name:
        return f"its statistics are of {meta.detector}, not {detector.name}"
    if meta and (difference := other_detector(meta.identity, detector.identity)):
        return f"its statistics were made by another {detector.name} ({difference} here)"
    return _too_wide(statistics.widths, detector)


def _too_wide(widths: Mapping[str, int], detector: Detector) -> str:
    """Which features are of another width than the detector's; empty for none."""
    for layer, width in widths.items():
        if detector.layers.get(layer, width) != width:
            return (
                f"its {layer} features are {width} wide where {detector.name} gives "
                f"{detector.layers[layer]}"
            )
    return ""


def _on_trust(opened: OpenedReference) -> list[str]:
    """What a reader must know of statistics, or features in their place, that are used."""
    statistics = opened.statistics
    meta = statistics.meta if statistics else None
    foreign = opened.features is not None or (statistics is not None and meta is None)
    if foreign and opened.known is None and not (statistics and statistics.detector):
        what = "features" if opened.features is not None else "statistics"
        return [f"{opened.name} does not say which weights made its {what}: taken on trust"]
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
