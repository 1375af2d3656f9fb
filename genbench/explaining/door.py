"""`genbench.explain`: the door to explanations, for the command line and for notebooks."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from genbench import given
from genbench.errors import UsageError
from genbench.explaining.explanation import Laboratory, Order, explained
from genbench.explaining.opening import End, further_sides, opened_ends
from genbench.explaining.result import Explanation
from genbench.images.opening import open_image_set
from genbench.metrics.catalogue import metric_named
from genbench.models.opening import ResolvedModel, open_model
from genbench.quality.source import SetSource, Source
from genbench.records.protocols import find_protocol
from genbench.runtime.devices import device_of
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.runtime.progress_bars import ProgressBars

What = str | Path | ResolvedModel  # an image-set spec, or a model to draw from
OfEach = tuple[int, int]


def explain(
    start: str,
    end: str,
    *,
    samples: What,
    end_samples: What | None = None,
    metric: str = "fid",
    reference: str | Path = "",
    references: tuple[str, str] = ("", ""),
    counts: OfEach = (0, 0),
    detector: str = "",
    weights: tuple[str | Path | None, str | Path | None] = (None, None),
    rounding: str = "",
    jpeg: OfEach = (0, 0),
    published: float | None = None,
    order: Order = "",
    crop: str = "",
    resolution: int = 0,
    device: str = "auto",
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Explanation:
    """Why a metric of the same samples differs between two protocols, step by step.

    start, end: protocols by name. samples: an image-set spec or a resolved model; end_samples:
    those of the end, where they are others. reference: of both ends, in place of the
    protocols'; references: of each end. counts: of each end, 0 for the protocol's. detector: in
    place of both protocols'. weights: of the detector, of each end. rounding: how the samples were
    rounded to uint8 ("truncate", "nearest", "floor256"). jpeg: quality of lossy files that are
    simulated, of each end. published: a number to look for among the protocols. order: "averaged"
    over all orders (Shapley), "stated", or empty: as many steps allow. crop, resolution: as of
    `genbench.evaluate`. Raises GenbenchError or UsageError with the remedy.
    """
    chosen = metric_named(metric)
    if published is not None and not math.isfinite(published):
        raise UsageError(f"--published {published}: a finite number")
    place = device_of(device, World())
    bars = reporter or ProgressBars(leads=True)
    folder = given.path_of(cache, "cache")
    opened: dict[int, Source] = {}

    def source(what: What, crop_of_protocol: str) -> Source:
        if id(what) not in opened:
            if isinstance(what, ResolvedModel):
                opened[id(what)] = open_model(what, place)
            else:
                images = open_image_set(
                    given.spec_of(what), crop=crop or crop_of_protocol, resolution=resolution
                )
                opened[id(what)] = SetSource(images)
        return opened[id(what)]

    ends = []
    for number, name in enumerate((start, end)):
        protocol = find_protocol(name)
        what = end_samples if number and end_samples is not None else samples
        if jpeg[number] and not 1 <= jpeg[number] <= 100:
            raise UsageError(f"JPEG quality {jpeg[number]} cannot be: pass 1 to 100")
        named = references[number] or reference
        ends.append(
            End(
                protocol=protocol, source=partial(source, what, protocol.crop), files=_name(what),
                reference=given.spec_of(named), count=counts[number],
                jpeg=jpeg[number], weights=given.path_of(weights[number], "weights"),
            )
        )  # fmt: skip
    first, last, left_out = opened_ends(ends[0], ends[1], chosen, was=rounding, detector=detector)
    own = {one.protocol.detector for one in ends}
    foreign = detector if detector and own != {detector} else ""
    if foreign:
        left_out += (f"detector ({' and '.join(sorted(own))}): {foreign} in its place",)
    laboratory = Laboratory(metric=chosen, device=place, reporter=bars, cache=folder)
    others = tuple(further_sides(last, chosen, detector)) if published is not None else ()
    return explained(
        first, last, laboratory, order=order, left_out=left_out, published=published,
        others=others, foreign=foreign,
    )  # fmt: skip


def _name(what: What) -> str:
    if not isinstance(what, ResolvedModel):
        return str(what)
    labels = what.request.labels
    return what.card.name if labels == "uniform" else f"{what.card.name}, labels {labels}"
