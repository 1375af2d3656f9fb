"""Packing and verifying bundles, for the command line and for notebooks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genbench.bundles.archive import Bundle, Manifest, read_bundle
from genbench.bundles.checks import Check
from genbench.bundles.consistency import whole
from genbench.bundles.moments import unpacked
from genbench.bundles.packing import Evidence, figures_of, pack, protocol_of
from genbench.bundles.redraw import Detect, chosen_units, redrawn
from genbench.bundles.verification import (
    from_features,
    from_moments,
    near_moments,
    records_of,
)
from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.metrics.catalogue import metric_named
from genbench.models.reopening import reopened
from genbench.quality.features import rows
from genbench.quality.metric_values import Reference
from genbench.quality.reading import built_detector, extracted, opened_reference, reference_of
from genbench.quality.references import suited_to
from genbench.quality.request import Job, QualityRequest
from genbench.quality.source import SetSource, Source
from genbench.quality.strips import cached_strips, strip_in
from genbench.records.comparability import other_detector
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import EvalProtocol
from genbench.runtime.devices import device_of
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.tables.views import Results

_SEAL = 16  # digits of a seal, at the least


def bundle(
    run: Sequence[Record],
    out: Path,
    *,
    samples: str = "",
    checkpoint: str = "",
    reference: str = "",
    slim: bool = False,
    with_features: bool = False,
    device: str = "auto",
    cache: Path | None = None,
    reporter: Reporter,
) -> Manifest:
    """Pack the records of a run with what they rest on; features come from the cache, and samples
    that are not there are drawn again.

    samples: the images of a run that no model drew. checkpoint: the weights, where genbench does
    not bring them. reference: where the protocol names none. Raises GenbenchError or UsageError
    with the remedy, among others where this machine would not draw the same samples.
    """
    figures = figures_of(run)
    first = figures[0]
    protocol = protocol_of(first)
    place = device_of(device, World())
    source = _source(first, protocol, samples, checkpoint, device)
    if source.digest() != first.samples_digest:
        raise GenbenchError(
            f"the samples of the run [{first.samples_digest[:12]}] cannot be had here: what "
            f"decides them differs [{source.digest()[:12]}], such as versions, code or device: "
            "pack on the machine that measured, or measure again"
        )
    job = Job(
        QualityRequest(protocol=protocol, samples=source, reference=reference, cache=cache),
        World(), place, reporter,
    )  # fmt: skip
    metrics = [metric_named(figure.metric) for figure in figures]
    layers = tuple(sorted({metric.layer for metric in metrics}))
    detector = built_detector(job, layers)
    if difference := other_detector(first.detector_identity, detector.identity):
        raise GenbenchError(f"the detector is not that of the run: {difference}")
    against: Reference | None = None
    compared = next((figure for figure in figures if figure.reference_digest), None)
    if compared is not None:
        opened = opened_reference(job, source.size)
        if opened.digest != compared.reference_digest:
            raise GenbenchError(
                f"{opened.name} is not the reference of the run, {compared.reference} "
                f"[{compared.reference_digest[:12]}]: name it with --ref"
            )
        opened = suited_to(opened, detector, preprocessing=protocol.preprocessing)
        against = reference_of(job, opened, detector, metrics)
    count = max(figure.samples for figure in figures)
    features = extracted(job, source, detector, list(layers), count)
    return pack(
        out, figures, protocol, Evidence(samples=features, layers=layers, reference=against),
        identity=source.identity(), table=Results(figures).table().to_markdown(),
        grid=strip_in(cached_strips(job.cache), first.samples_digest),
        slim=slim, with_features=with_features,
    )  # fmt: skip


def verify(
    path: Path,
    *,
    fraction: float = 0.02,
    seed: int | None = None,
    seal: str = "",
    samples: str = "",
    checkpoint: str = "",
    reference: str = "",
    device: str = "auto",
    cache: Path | None = None,
    reporter: Reporter,
) -> Iterator[Check]:
    """Everything that can be checked of a bundle here, one finding after the other.

    fraction: of the samples to draw again; 0 for none. seed: which ones; None: such as nobody could
    foresee. seal: what was published of the bundle, at least its first 16 digits: only with it is
    a bundle told from another that was packed anew. Raises GenbenchError for a file that is no
    bundle or was changed since it was packed, and for a checkpoint or images that are not those
    of the run. reference: where the protocol names none.
    """
    if not 0 <= fraction <= 1:
        raise UsageError(f"--fraction {fraction:g} is no share: between 0 and 1, such as 0.02")
    if seed is not None and seed < 0:
        raise UsageError(f"--seed {seed} cannot be: pass 0 or more")
    if seal and (len(seal) < _SEAL or set(seal.lower()) - set("0123456789abcdef")):
        raise UsageError(f"--seal {seal} is no seal: at least {_SEAL} digits of 0-9 and a-f")
    opened = read_bundle(path)
    figures = records_of(opened)
    own = opened.manifest.seal()
    yield Check(subject="file", state="holds", told=f"{path.name} is whole")
    if seal:
        yield Check(
            subject="seal", state="holds" if own.startswith(seal.lower()) else "fails",
            told=f"that which was published, {own}"
            if own.startswith(seal.lower()) else f"{own}, not {seal}: this is another bundle",
        )  # fmt: skip
    else:
        yield Check(
            subject="seal", state="not checked",
            told=f"{own}: hold it against the published one, or pass that by --seal",
        )  # fmt: skip
    yield from whole(opened, figures)
    yield from from_moments(opened, figures)
    yield from from_features(opened, figures, reporter)
    yield from _reference_again(opened, figures, reference, samples, device, cache, reporter)
    if fraction:
        yield from _drawn_again(opened, figures[0], fraction, seed, samples, checkpoint, device,
                                reporter)  # fmt: skip


def _drawn_again(
    opened: Bundle, first: QualityRecord, fraction: float, seed: int | None, samples: str,
    checkpoint: str, device: str, reporter: Reporter,
) -> Iterator[Check]:  # fmt: skip
    try:
        source = _source(first, opened.manifest.protocol, samples, checkpoint, device)
        if source.count is not None and source.count < opened.manifest.samples:
            raise GenbenchError(
                f"there are {source.count:,} images of {opened.manifest.samples:,}: name the set"
            )
        detect = _detect(opened, source, device, reporter)
    except GenbenchError as error:
        if checkpoint or samples:  # the user's own slip
            raise
        yield Check(subject="drawn again", state="not checked", told=str(error))
        return
    number = secrets.randbits(64) if seed is None else seed
    rng = np.random.default_rng(number)
    units = chosen_units(opened.manifest.samples, fraction, rng)
    yield from redrawn(opened, source, detect, units, reporter)
    yield Check(subject="seed", state="told", told=f"the samples looked at: --seed {number}")


def _reference_again(
    opened: Bundle, figures: Sequence[QualityRecord], reference: str, samples: str, device: str,
    cache: Path | None, reporter: Reporter,
) -> Iterator[Check]:  # fmt: skip
    """The reference measured here, where it is here, against what the bundle holds of it."""
    compared = next((figure for figure in figures if figure.reference_digest), None)
    if compared is None:
        return
    manifest = opened.manifest
    size = (compared.resolution, compared.resolution) if compared.resolution else compared.size
    request = QualityRequest(protocol=manifest.protocol, reference=reference, cache=cache)
    job = Job(request, World(), device_of(device, World()), reporter)
    try:
        if size is None:
            raise GenbenchError("the records do not say of which size the images are")
        found = opened_reference(job, size)
        if found.digest != compared.reference_digest:
            raise GenbenchError(
                f"{found.name} is not {compared.reference} [{compared.reference_digest[:12]}]: "
                "name it with --ref"
            )
        detector = built_detector(job, manifest.layers)
        found = suited_to(found, detector, preprocessing=manifest.protocol.preprocessing)
        metrics = [metric_named(figure.metric) for figure in figures]
        again = reference_of(job, found, detector, metrics)
    except GenbenchError as error:
        yield Check(subject="reference", state="not checked", told=str(error))
        return
    yield from _held_against(opened, again)


def _held_against(opened: Bundle, again: Reference) -> Iterator[Check]:
    """What the bundle holds of the reference, against the same measured here."""
    wrong: list[str] = []
    looked = 0
    for layer in opened.manifest.layers:
        if f"reference/{layer}/mean" in opened.moments and again.has_moments(layer):
            looked += 1
            kept = unpacked(f"reference/{layer}", dict(opened.moments))
            if not near_moments(kept, again.moments(layer)):
                wrong.append(f"moments of {layer}")
        given = opened.features(f"reference/{layer}")
        if given is not None and again.features is not None:
            looked += 1
            own = rows(again.features, layer).numpy()
            if own.shape != given.shape or not np.allclose(own, given, rtol=1e-3, atol=1e-3):
                wrong.append(f"features of {layer}")
    if looked:
        yield Check(
            subject="reference", state="fails" if wrong else "holds",
            told=f"{', '.join(wrong)} are not those of {again.name}" if wrong
            else f"{again.name}, measured here",
        )  # fmt: skip


def _detect(opened: Bundle, source: Source, device: str, reporter: Reporter) -> Detect | None:
    """The detector of the bundle's protocol; None, with a note, where it cannot be had."""
    manifest = opened.manifest
    if not manifest.layers:
        return None
    request = QualityRequest(protocol=manifest.protocol, samples=source)
    job = Job(request, World(), device_of(device, World()), reporter)
    try:
        return built_detector(job, manifest.layers)
    except GenbenchError as error:
        reporter.note(f"features are not computed again: {error}")
        return None


def _source(
    record: QualityRecord, protocol: EvalProtocol, samples: str, checkpoint: str, device: str
) -> Source:
    if record.card:
        return reopened(record, device_of(device, World()), checkpoint)
    if not samples:
        raise UsageError(f"{record.model} are images that no model drew: name them with --samples")
    return SetSource(open_image_set(samples, crop=protocol.crop, resolution=protocol.resolution))
