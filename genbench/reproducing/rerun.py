"""The evaluations of records run again in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from genbench import api
from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.images.sets import ImageSet
from genbench.models.reopening import reopened
from genbench.models.source import ModelSource
from genbench.quality.source import SetSource
from genbench.records.kinds import QualityRecord
from genbench.records.protocols import EvalProtocol
from genbench.reproducing.commands import Evaluation
from genbench.reproducing.needs import Need, option_file, variable_of
from genbench.reproducing.protocols import recorded_protocol
from genbench.runtime.devices import device_of
from genbench.runtime.digests import file_sha256
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter

Files = Mapping[str, str]  # by the variable of a need, where it lies


def check_files(evaluations: Sequence[Evaluation], given: Files) -> dict[str, str]:
    """Where every file that the evaluations need lies: as given, else where it lay. Raises
    UsageError for one that is not there and for a name of none, GenbenchError for another file."""
    needs = {need.variable: need for one in evaluations for need in one.needs}
    if unknown := sorted(set(given) - set(needs)):
        known = ", ".join(needs) or "none"
        raise UsageError(f"the figures need no file {unknown[0]}: they need {known}")
    return {variable: _found(need, given.get(variable, "")) for variable, need in needs.items()}


def _found(need: Need, given: str) -> str:
    path = Path(given or need.path)
    if not need.sha256:
        if not (given or need.path):
            raise UsageError(f"the run used {need.told}: pass --file {need.variable}=PATH")
        return str(path)  # images, of which genbench itself knows the kinds and the digest
    if not (given or need.path) or not path.exists():
        lost = f"{path} is not there: " if given or need.path else ""
        raise UsageError(
            f"{lost}the run used {need.told} (SHA-256 {need.sha256[:16]}…): pass --file "
            f"{need.variable}=PATH"
        )
    if path.is_file() and (digest := file_sha256(path)) != need.sha256:
        raise GenbenchError(
            f"{path} is not {need.told}: its SHA-256 is {digest[:16]}…, the record's "
            f"{need.sha256[:16]}…"
        )
    return str(path)


def run_again(
    evaluation: Evaluation,
    files: Files,
    *,
    protocol: EvalProtocol | None = None,
    device: str = "",
    cache: Path | None = None,
    reporter: Reporter,
) -> list[QualityRecord]:
    """Measure the figures of an evaluation anew, on this machine and with what is installed here.

    files: as of `check_files`. protocol: None to find it by its digest. device: empty for the kind
    on record. cache: where drawn samples and features are kept and used again; None: nowhere, so
    that each is computed. Raises GenbenchError or UsageError with the remedy.
    """
    records = [record for record in evaluation.records if isinstance(record, QualityRecord)]
    first = records[0]
    used = protocol or recorded_protocol(first).protocol
    place = device or first.environment.device_type or "auto"
    named = _named(evaluation, files)
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genbench-")))
        model: str | ModelSource = ""
        if first.card:
            model = reopened(_with_files(first, files), device_of(place, World()),
                             named.get("--checkpoint", ""))  # fmt: skip
        images = _the_images(named["--samples"], first, used) if "--samples" in named else ""
        return list(
            api.evaluate(
                model, samples=images, features=named.get("--features"),
                reference=named.get("--ref", ""), reference_features=named.get("--ref-features"),
                training=named.get("--train", ""), protocol=used,
                counts=tuple(dict.fromkeys(record.samples for record in records)),
                metrics=tuple(dict.fromkeys(record.metric for record in records)),
                ci=any(record.interval for record in records),
                detector_weights=named.get("--detector-weights"), device=place, cache=cache,
                reporter=reporter,
            )
        )  # fmt: skip


def _the_images(spec: str, record: QualityRecord, protocol: EvalProtocol) -> ImageSet:
    """The images of a record. Raises GenbenchError for others, before anything is computed."""
    images = open_image_set(spec, crop=protocol.crop, resolution=protocol.resolution)
    if (digest := SetSource(images).digest()) != record.samples_digest:
        raise GenbenchError(
            f"{spec} holds other images [{digest[:12]}] than the run's, {record.model} "
            f"[{record.samples_digest[:12]}]: pass --file SAMPLES=IMAGES"
        )
    return images


def _named(evaluation: Evaluation, files: Files) -> dict[str, str]:
    """The images and files that the command names, by their options."""
    options = ("--samples", "--features", "--ref", "--ref-features", "--train", "--checkpoint",
               "--detector-weights")  # fmt: skip
    words = evaluation.words
    return {
        word: files[after.variable] if isinstance(after, Need) else after
        for word, after in pairwise(words)
        if isinstance(word, str) and word in options
    }


def _with_files(record: QualityRecord, files: Files) -> QualityRecord:
    """The record with options that name files by their paths, where it has their digests."""
    named = {
        key: files[variable_of(key)] for key, value in record.options.items() if option_file(value)
    }
    return replace(record, options=dict(record.options) | named) if named else record
