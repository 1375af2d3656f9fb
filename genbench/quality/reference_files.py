"""Reference files, with images and statistics or with statistics alone, written for others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from genbench.detectors.contract import Detector
from genbench.images.npz import stored_digest
from genbench.images.npz_writing import write_reference
from genbench.images.sets import ImageSet
from genbench.metrics.moments import stream_moments
from genbench.quality.features import extract_features
from genbench.quality.source import SetSource
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.version import __version__


def export_reference(
    images: ImageSet,
    detector: Detector,
    out: Path,
    *,
    form: Literal["adm", "edm"] = "adm",
    cache: Path,
    world: World,
    reporter: Reporter,
) -> None:
    """Write an ADM reference file: arr_0, mu, sigma, and, with spatial features, mu_s, sigma_s; or
    one as EDM's fid.py reads it, without images: mu, sigma. Each with genbench's own `meta`."""
    wanted = ("pool", "spatial") if form == "adm" else ("pool",)
    layers = [layer for layer in detector.layers if layer in wanted]
    features = extract_features(
        SetSource(images), detector, layers, len(images),
        root=cache / "features", world=world, reporter=reporter,
    )  # fmt: skip
    if not world.leads:
        return
    statistics = {}
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
