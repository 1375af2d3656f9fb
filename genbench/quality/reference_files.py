"""Reference files, with images and statistics or with statistics alone, written for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from genbench.detectors.contract import LAYERS, Detector
from genbench.images.npz import stored_digest
from genbench.images.npz_writing import write_reference
from genbench.images.sets import ImageSet
from genbench.metrics.moments import stream_moments
from genbench.quality.features import extract_features, rows
from genbench.quality.source import SetSource
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.version import __version__


def export_reference(
    images: ImageSet,
    detector: Detector,
    out: Path,
    *,
    form: Literal["adm", "edm", "features"] = "adm",
    cache: Path,
    world: World,
    reporter: Reporter,
) -> None:
    """Write an ADM reference file: arr_0, mu, sigma, and, with spatial features, mu_s, sigma_s; or
    one as EDM's fid.py reads it, without images: mu, sigma; or the features of every image and
    layer, as --features takes them. Each with genbench's own `meta`."""
    wanted = {"adm": ("pool", "spatial"), "edm": ("pool",), "features": LAYERS}[form]
    layers = [layer for layer in detector.layers if layer in wanted]
    features = extract_features(
        SetSource(images), detector, layers, len(images),
        root=cache / "features", world=world, reporter=reporter,
    )  # fmt: skip
    if not world.leads:
        return
    statistics: dict[str, NDArray[Any]] = {}
    if form == "features":
        names = {"pool": "features"}
        statistics = {names.get(layer, layer): rows(features, layer).numpy() for layer in layers}
        layers = []
    for layer, suffix in (("pool", ""), ("spatial", "_s")):
        if layer in layers:
            moments = stream_moments(features.chunks(layer), [len(images)])[len(images)]
            statistics["mu" + suffix] = moments.mean.numpy()
            statistics["sigma" + suffix] = moments.covariance().numpy()
    meta = {
        "detector": detector.name,
        "identity": dict(detector.identity),
        "count": len(images),
        "size": list(images.size),
        "images_digest": stored_digest(images),
        "genbench": __version__,
    }
    write_reference(out, images if form == "adm" else None, statistics, meta)
