"""References by name: image sets, ADM reference files with statistics, and the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.images.opening import brought_to, open_image_set
from genbench.images.sets import ImageSet
from genbench.quality.statistics_files import (
    ReferenceStatistics,
    npz_holds_images,
    read_reference_statistics,
)
from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder

_ADM = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet"
PUBLISHED = {
    "VIRTUAL_imagenet64_labeled.npz": f"{_ADM}/64/VIRTUAL_imagenet64_labeled.npz",
    "VIRTUAL_imagenet128_labeled.npz": f"{_ADM}/128/VIRTUAL_imagenet128_labeled.npz",
    "VIRTUAL_imagenet256_labeled.npz": f"{_ADM}/256/VIRTUAL_imagenet256_labeled.npz",
    "VIRTUAL_imagenet512.npz": f"{_ADM}/512/VIRTUAL_imagenet512.npz",
}


@dataclass(frozen=True)
class OpenedReference:
    """A reference before its images have met the detector."""

    name: str
    digest: str
    images: ImageSet | None
    statistics: ReferenceStatistics | None
    statistics_note: str = ""


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


def open_reference(
    spec: str | ImageSet, *, detector: str, crop: str, resolution: int
) -> OpenedReference:
    """Open an image set or a reference file; statistics of another detector are left aside."""
    if not isinstance(spec, str):
        images = brought_to(spec, crop, resolution)
        return OpenedReference(images.name, images.digest(), images, None)
    path = reference_path(spec)
    if not path.endswith(".npz"):
        images = open_image_set(path, crop=crop, resolution=resolution)
        return OpenedReference(images.name, images.digest(), images, None)
    statistics = read_reference_statistics(Path(path))
    note = ""
    if statistics is not None and statistics.detector != detector:
        note = (
            f"{spec} holds statistics of {statistics.detector}, not {detector}: computing those of "
            f"{detector} from the file's images, which may be fewer than the statistics stand for"
        )
        statistics = None
    if not npz_holds_images(Path(path)) and statistics is not None:
        return OpenedReference(Path(path).name, file_sha256(Path(path)), None, statistics)
    images = open_image_set(path, crop=crop, resolution=resolution)
    digest = file_sha256(Path(path)) if statistics is not None else images.digest()
    return OpenedReference(images.name, digest, images, statistics, note)


def published_layers(statistics: ReferenceStatistics | None) -> frozenset[str]:
    """The layers whose mean and covariance a reference file brings."""
    if statistics is None:
        return frozenset()
    return frozenset({"pool"} if statistics.mu_s is None else {"pool", "spatial"})
