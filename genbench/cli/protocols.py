"""`genbench ls protocols`, `references` and `papers`: what was measured how, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from genbench.detectors.registry import detector_status
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.metrics.catalogue import metric_named, reported_key
from genbench.quality.known_references import KnownReference, find_reference, load_references
from genbench.records.papers import load_papers, load_titles
from genbench.records.protocols import EvalProtocol, find_protocol, load_protocols

Rows = list[dict[str, Any]]
Explanation = tuple[str, list[tuple[str, str]]]  # a heading, and what is to be said, by subject
_OWN = "the detector's own"


_ROUNDINGS = {
    "": "",
    "truncate": "truncated: (x + 1) * 127.5, cut off (truncate)",
    "nearest": "to the nearest: x * 127.5 + 128, cut off (nearest)",
    "floor256": "(x + 1) / 2 * 256, cut off (floor256)",
}


def list_protocols() -> Rows:
    """Every protocol with its digest."""
    return [
        {
            "protocol": protocol.name,
            "digest": protocol.digest(),
            "detector": protocol.detector,
            "reference": protocol.reference or "--ref",
            "samples": list(protocol.counts),
            "metrics": list(protocol.metrics),
        }
        for protocol in load_protocols().values()
    ]


def list_references(text: str = "") -> Rows:
    """Every published reference whose name has a text, and whether its file is here."""
    return [
        {
            "reference": known.name,
            "here": "here" if known.here else "not here",
            "pixels": known.resolution or None,
            "MB": known.megabytes or None,
            "format": known.format,
            "statistics of": list(known.detectors),
            "sha256": known.sha256 or "not published",
            "papers": list(known.papers),
            "address": known.url or known.source,
        }
        for known in load_references().values()
        if text.lower() in known.name.lower()
    ]


def list_papers(text: str = "") -> Rows:
    """The figures of papers with the protocol they are of. text: of the paper's name or of the
    figures, in any case, or words of its title. Raises UsageError where none has it."""
    titles = load_titles()
    rows: Rows = [
        {
            "paper": item.paper,
            "figures": item.figures,
            "protocol": item.protocol or "none here",
            "reference": item.reference or None,
            "note": item.note or None,
        }
        for item in load_papers()
        if _named(text, f"{item.paper} {item.figures} {titles.get(item.paper.split(' (')[0], '')}")
    ]
    if not rows:
        raise UsageError(
            f"no paper here is named {text}: `genbench ls papers` lists those whose protocol was "
            "looked up; docs/protocols.md says how to find out of another"
        )
    return rows


def _named(text: str, told: str) -> bool:
    """Whether words begin so somewhere in what is told, hyphens and spaces aside."""
    words = re.split(r"[^0-9a-z.]+", told.lower())
    wanted = re.sub(r"[^0-9a-z.]+", "", text.lower())
    return any("".join(words[place:]).startswith(wanted) for place in range(len(words)))


def explained_reference(name: str) -> Explanation:
    """A published reference in words. Raises UsageError for an unknown one, with the nearest."""
    known = find_reference(name)
    if known is None:
        raise UsageError(
            f"no published reference is named {name}; {suggestion(name, load_references())}"
        )
    used = [item.name for item in load_protocols().values() if item.reference == known.name]
    return f"{known.name}: {known.title}", [
        ("file", _where(known)),
        ("format", known.format),
        ("holds", known.holds),
        ("statistics of", "; ".join(_prepared(known))),
        ("images", _size(known.resolution)),
        ("pictures", known.pictures),
        ("SHA-256", known.sha256 or "not published"),
        *(("protocol", item) for item in used),
        *(("paper", item) for item in known.papers),
        *(("note", item) for item in known.remarks),
        ("source", known.source),
    ]


def explained_protocol(name: str) -> Explanation:
    """A protocol in words: what is measured how, by whom, and the command. Raises UsageError for an
    unknown one, with the nearest."""
    protocol = find_protocol(name)
    counts = " or ".join(f"{count:,}" for count in protocol.counts)
    runs = ""
    if protocol.seeds > 1:
        runs = f"; {protocol.seeds} runs of other seeds, of which papers report the "
        runs += protocol.reported
    return f"{protocol.name}: {protocol.title}", [
        ("images", _size(protocol.resolution)),
        ("samples", counts + runs),
        *_where_told("classes", protocol.labels),
        *_where_told("to uint8", _ROUNDINGS[protocol.rounding]),
        ("detector", _detector(protocol.detector)),
        ("preprocessing", protocol.preprocessing or _OWN),
        *_where_told("resize", protocol.resize),
        *_where_told("network", protocol.network),
        *_reference(protocol),
        ("metrics", ", ".join(_metrics(protocol)) or "none yet"),
        *_settings(protocol),
        *(("paper", item) for item in protocol.papers),
        *(("note", item) for item in protocol.remarks),
        ("source", protocol.source),
        ("digest", protocol.digest()),
        ("needs", f"genbench doctor {protocol.name}"),
        ("measure", measuring(protocol)),
    ]


def measuring(protocol: EvalProtocol) -> str:
    """The command that measures under a protocol."""
    reference = "" if protocol.reference else " --ref REFERENCE"
    return f"genbench fid SAMPLES --protocol {protocol.name}{reference} -n {max(protocol.counts)}"


def _where_told(subject: str, text: str) -> list[tuple[str, str]]:
    return [(subject, text)] if text else []


def _size(resolution: int) -> str:
    return f"{resolution}x{resolution}" if resolution else "of any size"


def _detector(name: str) -> str:
    status = detector_status(name)
    told = f"{name}: {status.summary}" if status.summary else name
    return f"{told} (ready)" if status.usable else f"{told} (not here)"


def _prepared(known: KnownReference) -> Iterator[str]:
    for detector, preprocessing in known.detectors.items():
        yield f"{detector}, images prepared as {preprocessing or 'it does itself'}"


def _where(known: KnownReference) -> str:
    return f"here, {known.place}" if known.here else f"not here: {known.how_to_get}"


def _reference(protocol: EvalProtocol) -> Iterator[tuple[str, str]]:
    try:
        known = find_reference(protocol.reference)
    except GenbenchError as error:
        yield "reference", str(error)
        return
    if known is None:
        yield "reference", protocol.reference or "none of its own: name one with --ref"
        return
    yield "reference", f"{known.name}: {known.title} (format {known.format})"
    yield "it holds", known.holds
    yield "pictures", known.pictures
    yield "file", _where(known)


def _metrics(protocol: EvalProtocol) -> list[str]:
    return [reported_key(metric_named(key), protocol.detector) for key in protocol.metrics]


def _settings(protocol: EvalProtocol) -> Iterator[tuple[str, str]]:
    """What decides the metrics that a protocol has, in words."""
    metrics = set(protocol.metrics)
    balls = []
    if metrics & {"precision", "recall"}:
        balls.append(f"k = {protocol.pr_neighbours} for precision and recall")
    if metrics & {"density", "coverage"}:
        balls.append(f"k = {protocol.dc_neighbours} for density and coverage")
    if balls:
        balls.append("on the rim is outside (<)" if protocol.neighbours_strict else "on the rim is "
                     "inside (<=)")  # fmt: skip
        if protocol.pr_half:
            balls.append("float16 distances")
        if protocol.neighbour_rows:
            balls.append(f"of {protocol.neighbour_rows:,} rows drawn of each side")
        yield "neighbours", ", ".join(balls)
    if "is" in metrics:
        cut = f"{protocol.is_splits} splits" if protocol.is_splits else ""
        cut = cut.removesuffix("s") if protocol.is_splits == 1 else cut
        cut = cut or f"chunks of {protocol.is_split_size:,}"
        order = "shuffled" if protocol.is_shuffle else "in the order of the samples"
        bias = "with" if protocol.logits_bias else "without"
        yield "Inception Score", f"{cut}, {order}, logits {bias} the classifier's bias"
    if "kid" in metrics:
        sets = f"{protocol.kid_subsets} subsets of {protocol.kid_subset_size:,}"
        yield "kernel distance", f"{sets}, seed {protocol.kid_seed}"
