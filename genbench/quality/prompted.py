"""Images held against prompts: what takes the reference's place where a metric compares texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from genbench.detectors.checked import CheckedDetector
from genbench.detectors.clip_folder import NAME, ClipTowers, find_clip
from genbench.errors import UsageError
from genbench.metrics.catalogue import metric_named
from genbench.quality.references import OpenedReference
from genbench.quality.request import Job, QualityRequest
from genbench.quality.source import Origin
from genbench.quality.tools import Tools
from genbench.records.protocols import find_protocol, with_options, with_weights
from genbench.runtime.digests import canonical_digest
from genbench.runtime.progress import Reporter
from genbench.runtime.prompts import read_prompts


def of_texts_alone(metrics: Sequence[str]) -> bool:
    """Whether metrics, by their keys, all compare with texts; none named is clip_score alone."""
    return all(metric_named(name).prompted for name in metrics)


def apart(request: QualityRequest, reporter: Reporter) -> list[QualityRequest]:
    """A request that names a CLIP as one request for the metrics that compare with prompts, all of
    them where none is named, and before it one for the others. Raises UsageError where it names
    others alone, or no prompts."""
    if request.prompts is None:
        raise UsageError("--clip compares images with prompts: pass --prompts FILE, one a line")
    named = request.metrics or ("clip_score",)
    texts = tuple(name for name in named if metric_named(name).prompted)
    others = tuple(name for name in named if name not in texts)
    if not texts:
        raise UsageError("--clip is asked by no metric: add --metric clip_score, or leave it out")
    if not others and request.reference != "":
        reporter.note("--ref left aside: images are compared with the prompts alone")
    first = [replace(request, metrics=others, clip="", prompts=None)] if others else []
    return [*first, replace(request, metrics=texts, reference="", detector_weights=None)]


def under_clip(request: QualityRequest) -> QualityRequest:
    """The request under a protocol of its CLIP: its digest counts, where it lies does not. Of the
    protocol that was chosen it has the counts, and how an image set comes to its size; all else
    decides no figure here, so that CLIP scores compare whatever it was."""
    chosen = request.protocol
    of_set = request.model is None
    protocol = with_options(
        find_protocol("standard"), detector=NAME, crop=chosen.crop if of_set else "",
        resolution=chosen.resolution if of_set else 0,
    )  # fmt: skip
    protocol = with_weights(protocol, find_clip(request.clip).digest)
    return replace(request, protocol=replace(protocol, counts=chosen.counts))


def text_tools(job: Job, origin: Origin) -> Tools:
    """The CLIP as the detector, and the embedded prompts in place of a reference.

    Raises UsageError for a file of prompts that cannot be read, or whose lines do not go into the
    images a whole number of times.
    """
    request = job.request
    assert request.prompts is not None  # `apart` has seen to it
    prompts = read_prompts(request.prompts)
    if origin.count is not None and origin.count % len(prompts):
        raise UsageError(
            f"{request.prompts.name} holds {len(prompts)} prompts and {origin.name} "
            f"{origin.count} images: write one line an image, in their order"
        )
    folder = find_clip(request.clip)
    towers = ClipTowers(folder, job.device)
    embedded, cut = towers.texts(prompts)
    if cut:
        job.reporter.note(
            f"{cut} of {len(prompts)} prompts are longer than {folder.shown} reads: their ends are "
            "not compared"
        )
    opened = OpenedReference(
        name=request.prompts.name, digest=canonical_digest(prompts), images=None,
        features={"pool": embedded.numpy()},
    )  # fmt: skip
    detector = CheckedDetector(towers, name=NAME, layers=("pool",))
    return Tools(tuple(map(metric_named, request.metrics)), detector, opened, None)
