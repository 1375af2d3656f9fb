"""A gate's samples, measured look by look as its baseline was."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.metrics.catalogue import metric_named
from genbench.models.opening import ResolvedModel
from genbench.quality.evaluation import evaluate
from genbench.quality.request import OWN_FEATURES, QualityRequest
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import EvalProtocol, choose_protocol, load_protocols
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.verdicts.gate import LEVEL, Gate, baseline_figures, gate
from genbench.verdicts.margins import Margin


def run_gate(
    baseline: Sequence[Record],
    folders: Sequence[Path],
    *,
    metric: str,
    margin: Margin,
    model: ResolvedModel | None,
    samples: str,
    reference: str,
    device: torch.device,
    cache: Path | None,
    reporter: Reporter,
    level: float = LEVEL,
) -> Gate:
    """A model's samples, or images, against a baseline on record (`gate`). Nothing is recorded;
    features stay in the cache, so that a look costs what its further samples cost.

    baseline: the records of a run, under a protocol known here. folders: where influences of its
    record file are kept. reference: where the protocol names none. Raises GenbenchError or
    UsageError with the remedy.
    """
    chosen = metric_named(metric)
    figures = baseline_figures(baseline, [chosen.key, chosen.generic_key])
    protocol = protocol_again(figures[0])
    with tempfile.TemporaryDirectory() as kept:

        def measure(count: int) -> QualityRecord:
            request = QualityRequest(
                protocol=protocol, samples=samples, model=model, reference=reference,
                counts=(count,), metrics=(chosen.key,), interval=True, cache=cache,
                influences=Path(kept),
            )  # fmt: skip
            (found,) = evaluate(request, world=World(), device=device, reporter=reporter)
            return found

        return gate(figures, [*folders, Path(kept)], measure, margin=margin, level=level)


def protocol_again(record: QualityRecord) -> EvalProtocol:
    """The protocol of a record: one of `genbench ls protocols`, or such a one with the record's
    detector. Raises GenbenchError for another, and UsageError for features of the user's own."""
    if record.detector == OWN_FEATURES:
        raise UsageError("the baseline is of features, which no gate can draw: measure images")
    known = load_protocols()
    for name in (record.protocol.rstrip("*"), *known):
        if name not in known:
            continue
        for protocol in (known[name], choose_protocol(name, detector=record.detector)):
            if protocol.digest() == record.protocol_digest:
                return protocol
    raise GenbenchError(
        f"the baseline's protocol {record.protocol} [{record.protocol_digest}] is none of "
        "`genbench ls protocols`: measure the baseline under one of them"
    )
