"""References by name: image sets, ADM reference files with statistics, and the published ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.images.opening import brought_to, open_image_set
from genbench.images.sets import ImageSet
from genbench.quality.statistics_files import (
    ReferenceStatistics,
    npz_holds_images,
    read_reference_statistics,
)
from genbench.records.comparability import other_detector
from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder

_ADM = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet"
PUBLISHED = {
    "VIRTUAL_imagenet64_labeled.npz": f"{_ADM}/64/VIRTUAL_imagenet64_labeled.npz",
    "VIRTUAL_imagenet128_labeled.npz": f"{_ADM}/128/VIRTUAL_imagenet128_labeled.npz",
    "VIRTUAL_imagenet256_labeled.npz": f"{_ADM}/256/VIRTUAL_imagenet256_labeled.npz",
    "VIRTUAL_imagenet512.npz": f"{_ADM}/512/VIRTUAL_imagenet512.npz",
}
_FOREIGN = "inception"  # what files of others are of, as far as one can tell


@dataclass(frozen=True, kw_only=True)
class OpenedReference:
    """A reference before its images have met the detector.

    statistics: published ones that stand for its images, and are used in their place. notes: for
    people, on how far the statistics can be trusted.
    """

    name: str
    digest: str
    images: ImageSet | None
    statistics: ReferenceStatistics | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Images there are to be compared with one by one; 0 with statistics alone."""
        return 0 if self.images is None else len(self.images)

    @property
    def labelled(self) -> bool:
        """Whether its images have labels."""
        return self.images is not None and self.images.labels is not None

    def has_moments(self, layer: str) -> bool:
        """Whether mean and covariance of a layer can be had: from statistics or two images."""
        return layer in published_layers(self.statistics) or self.rows > 1


def reference_path(spec: str) -> str:
    """`spec`, or where a published reference file of that name lies.

    Raises GenbenchError naming the address of a published file that is not here: its authors give
    no digest to check a download against, so genbench does not fetch it by itself.
    """
    if spec not in PUBLISHED or Path(spec).exists():
        return spec
    kept = cache_folder() / "references" / spec
    if kept.exists():
        return str(kept)
    raise GenbenchError(
        f"reference batch {spec} is not here: download {PUBLISHED[spec]} and put it at {kept}, or "
        "pass --ref FILE; offline, --protocol bundled needs no download"
    )


def open_reference(spec: str | ImageSet, *, crop: str, size: tuple[int, int]) -> OpenedReference:
    """Open an image set or a reference file. Statistics of images that were cropped or resized are
    left aside; whether a detector made them is `suited_to`'s question.

    size: (H, W) of the samples, which the reference's images must have or, with `crop`, are brought
    to. Raises GenbenchError for images that do not come to it.
    """
    height, width = size
    opened = _opened(spec, crop, height if height == width else 0)
    if opened.images is not None and opened.images.size != size:
        high, wide = opened.images.size
        raise GenbenchError(
            f"{opened.name} holds images of {wide}x{high}, not {width}x{height} as the samples: "
            "bring both to one square size with --crop adm or --crop resize and --res"
        )
    return opened


def _opened(spec: str | ImageSet, crop: str, resolution: int) -> OpenedReference:
    if not isinstance(spec, str):
        return _of_images(brought_to(spec, crop, resolution))
    path = Path(reference_path(spec))
    if path.suffix.lower() != ".npz" or not path.is_file():
        return _of_images(open_image_set(str(path), crop=crop, resolution=resolution))
    statistics = read_reference_statistics(path)
    if statistics is None:
        return _of_images(open_image_set(str(path), crop=crop, resolution=resolution))
    if not npz_holds_images(path):
        _check_size(path, statistics, crop, resolution)
        return OpenedReference(
            name=path.name, digest=file_sha256(path), images=None, statistics=statistics
        )
    stored = open_image_set(str(path))
    images = brought_to(stored, crop, resolution)
    if images is not stored:
        note = f"{path.name}: its statistics are not of images brought to {resolution} pixels"
        return replace(_of_images(images), notes=(f"{note}: computed from its images instead",))
    return OpenedReference(
        name=images.name, digest=file_sha256(path), images=images, statistics=statistics
    )


def _check_size(path: Path, statistics: ReferenceStatistics, crop: str, resolution: int) -> None:
    """Raises GenbenchError for statistics without images that are of another size than the samples,
    or of an unknown one where the samples were brought to theirs."""
    size = statistics.meta.size if statistics.meta else None
    if size is None and crop != "none":
        raise GenbenchError(
            f"{path.name} holds statistics alone and does not say of what size its images were: "
            "leave --crop out, or pass --ref IMAGES"
        )
    if size is not None and resolution and tuple(size) != (resolution, resolution):
        raise GenbenchError(
            f"{path.name} holds statistics of images of {size[1]}x{size[0]}, not of "
            f"{resolution}x{resolution} as the samples: pass --ref IMAGES with --crop and --res"
        )


def refuse_statistics_of_others(opened: OpenedReference, detector: str) -> None:
    """Raises GenbenchError, before the detector is there, for a file of statistics alone that
    another detector made."""
    meta = opened.statistics.meta if opened.statistics else None
    if opened.images is None and meta and meta.detector != detector:
        raise _useless(opened, f"its statistics are of {meta.detector}, not {detector}", detector)


def suited_to(
    opened: OpenedReference, detector: Detector, *, preprocessing: str = ""
) -> OpenedReference:
    """The reference with its statistics if this detector made them, as far as one can tell, else
    without them. preprocessing: the protocol's, where it is not the detector's own. Raises
    GenbenchError when nothing is left."""
    statistics = opened.statistics
    if statistics is None:
        return opened
    problem = _not_of(statistics, detector, preprocessing, foreign_is_used=opened.images is None)
    if problem:
        if opened.images is None:
            raise _useless(opened, problem, detector.name)
        note = f"{opened.name}: {problem}: computed from its images instead"
        return replace(_of_images(opened.images), notes=(*opened.notes, note))
    return replace(opened, notes=(*opened.notes, *_on_trust(opened, statistics)))


def _useless(opened: OpenedReference, problem: str, detector: str) -> GenbenchError:
    return GenbenchError(
        f"{opened.name} holds statistics alone, and {problem}: make it with this detector "
        f"(`genbench ref IMAGES --out FILE --detector {detector}`), or pass --ref IMAGES"
    )


def _of_images(images: ImageSet) -> OpenedReference:
    return OpenedReference(name=images.name, digest=images.digest(), images=images)


def _not_of(
    statistics: ReferenceStatistics, detector: Detector, preprocessing: str, *,
    foreign_is_used: bool,
) -> str:  # fmt: skip
    """Why statistics cannot stand for what a detector would give; empty when they can."""
    meta = statistics.meta
    if meta is None and preprocessing and not foreign_is_used:
        return f"its statistics do not say whether they are of {preprocessing}"
    if meta is None and detector.name != _FOREIGN and not foreign_is_used:
        return "its statistics do not say what made them, and are taken for Inception's"
    if meta is not None and meta.detector != detector.name:
        return f"its statistics are of {meta.detector}, not {detector.name}"
    if meta and (difference := other_detector(meta.identity, detector.identity)):
        return f"its statistics were made by another {detector.name} ({difference} here)"
    for layer, width in statistics.widths.items():
        if detector.layers.get(layer, width) != width:
            return (
                f"its statistics of {layer} features are {width} wide where {detector.name} gives "
                f"{detector.layers[layer]}"
            )
    return ""


def _on_trust(opened: OpenedReference, statistics: ReferenceStatistics) -> list[str]:
    """What a reader must know of statistics that are used."""
    notes = []
    if statistics.meta is None and opened.name not in PUBLISHED:
        notes.append(
            f"{opened.name} does not say which weights made its statistics: taken on trust"
        )
    images = opened.images
    meta = statistics.meta
    if meta and images is not None and meta.images_digest not in ("", images.digest()):
        notes.append(
            f"Fréchet distances are to the statistics of {opened.name}, made of {meta.count:,} "
            f"images, not of the {len(images):,} that it holds"
        )
    return notes


def published_layers(statistics: ReferenceStatistics | None) -> frozenset[str]:
    """The layers whose mean and covariance a reference file brings."""
    return frozenset() if statistics is None else frozenset(statistics.widths)
