"""`genbench ls`: the rows of every list, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from genbench.detectors.registry import detector_names, detector_status
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.contract import ModelCard
from genbench.models.options import adapter_options
from genbench.models.registry import adapter_entries, find_adapter, load_adapter_class
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import load_protocols
from genbench.speed.datasheets import DTYPE_COLUMNS, Gpu, SheetValue, known_gpus
from genbench.tables.specs import load_spec, spec_names

Rows = list[dict[str, str]]


def list_models() -> Rows:
    """Every announced adapter; a broken one with its reason, a clash with both owners."""
    entries = adapter_entries()
    names = [entry.name for entry in entries]
    rows = []
    for entry in entries:
        row = {"model": entry.name, "from": entry.owner, "resolutions": "", "status": "ready"}
        try:
            cards = load_adapter_class(entry).cards
            sizes = sorted({card.resolution for card in cards})
            row["resolutions"] = ", ".join(map(str, sizes))
            here = [card for card in cards if card.checkpoint is None or card.checkpoint.bundled]
            if not here:
                row["status"] = "needs weights"
            elif len(here) < len(cards):
                ready = ", ".join(str(card.resolution) for card in here)
                row["status"] = f"ready at {ready}"
        except GenbenchError as error:
            row["status"] = str(error)
        if names.count(entry.name) > 1:
            row["status"] = f"name claimed twice, by {entry.target} too: uninstall one"
        rows.append(row)
    return rows


def list_model(name: str) -> tuple[Rows, Rows]:
    """The variants and the options of one model."""
    adapter = load_adapter_class(find_adapter(name))
    cards = [
        {
            "variant": card.name,
            "resolution": str(card.resolution),
            "classes": str(card.classes or "none"),
            "parameters": f"{card.parameters:,}" if card.parameters else "",
            "NFE": str(card.nfe),
            "dtype": card.dtype,
            "weights": _weights(card),
            "license": card.license,
            "note": card.note,
        }
        for card in adapter.cards
    ]
    options = [
        {
            "option": f"--{option.name.replace('_', '-')}",
            "type": option.type.__name__,
            "default": str(option.default),
            "choices": ", ".join(map(str, option.choices)),
            "help": option.help,
        }
        for option in adapter_options(adapter).values()
    ]
    return cards, options


def _weights(card: ModelCard) -> str:
    """Of what kind the weights are, where there are any to be had."""
    source = card.checkpoint
    if source is None:
        return "none needed"
    return source.kind if source.bundled or source.url else "bring your own"


def list_protocols() -> Rows:
    """Every protocol with its digest."""
    return [
        {
            "protocol": protocol.name,
            "digest": protocol.digest(),
            "detector": protocol.detector,
            "reference": protocol.reference or "--ref",
            "samples": " and ".join(f"{count:,}" for count in protocol.counts),
            "metrics": ", ".join(protocol.metrics),
        }
        for protocol in load_protocols().values()
    ]


def list_detectors() -> Rows:
    """Every detector and whether it can be used now."""
    rows = []
    for name in detector_names():
        status = detector_status(name)
        state = "ready" if status.usable else "missing: `genbench doctor` says how to get it"
        layers = ", ".join(f"{layer} {width}" for layer, width in status.layers.items())
        row = {"detector": name, "about": status.summary, "layers": layers, "status": state}
        rows.append(row)
    return rows


def list_tables() -> Rows:
    """Every table that `genbench table` can show."""
    rows = []
    for name in spec_names():
        spec = load_spec(name)
        measurable = sum(row.measured is not None for row in spec.rows)
        count = f"{measurable} of {len(spec.rows)}"
        rows.append({"table": name, "title": spec.title, "rows genbench measures": count})
    return rows


def list_runs(records: Sequence[Record]) -> Rows:
    """Every run on record, the latest last: what it measured of what."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.run, []).append(record)
    return [_run(name, found) for name, found in runs.items()]


def _run(name: str, records: Sequence[Record]) -> dict[str, str]:
    first = records[0]
    options = [f"{key} {value}" for key, value in first.options.items() if value not in (None, "")]
    weights = first.checkpoint if first.weight_kind in ("given", "converted") else ""
    counts = sorted({record.samples for record in records if isinstance(record, QualityRecord)})
    return {
        "run": name,
        "created": first.created[:16].replace("T", " "),
        "of": first.card or first.model,
        "protocol": first.protocol,
        "samples": ", ".join(f"{count:,}" for count in counts),
        "metrics": ", ".join(dict.fromkeys(record.metric for record in records)),
        "settings": ", ".join([weights] * bool(weights) + options),
    }


LISTS = {
    "models": list_models,
    "protocols": list_protocols,
    "detectors": list_detectors,
    "tables": list_tables,
}


def named_list(what: str, records: Callable[[], Sequence[Record]]) -> list[Rows]:
    """The rows of a list, or a model's variants and options. records: reads those of `ls runs`.
    Raises UsageError for other words."""
    if what in LISTS:
        return [LISTS[what]()]
    if what == "runs":
        return [list_runs(records())]
    if what == "gpus":
        return gpu_lists()
    names = [entry.name for entry in adapter_entries()]
    if what in names:
        return list(list_model(what))
    raise UsageError(
        f"nothing to list is named {what}; {suggestion(what, [*LISTS, 'gpus', 'runs', *names])}"
    )


def gpu_lists() -> list[list[dict[str, str]]]:
    """`genbench ls gpus`: the dense peaks, then the source of each cell; a star: unverified."""
    gpus = list(known_gpus().values())
    return [[_row(gpu) for gpu in gpus], [row for gpu in gpus for row in _sources(gpu)]]


def _row(gpu: Gpu) -> dict[str, str]:
    def shown(cell: SheetValue | None) -> str:
        return "" if cell is None else f"{cell.value:g}" + ("*" * (cell.confidence == "unverified"))

    return {
        "gpu": gpu.name,
        "also": ", ".join(gpu.aliases),
        "CUDA": gpu.capability,
        **{f"{dtype} TFLOP/s": shown(gpu.cells().get(dtype)) for dtype in DTYPE_COLUMNS},
        "GB/s": shown(gpu.bandwidth),
    }


def _sources(gpu: Gpu) -> list[dict[str, str]]:
    columns: dict[tuple[str, str], list[str]] = {}
    for column, cell in gpu.cells().items():
        columns.setdefault((cell.confidence, cell.source), []).append(column)
    return [
        {"gpu": gpu.name, "cells": ", ".join(named), "label": confidence, "source": source}
        for (confidence, source), named in columns.items()
    ]
