"""`genbench ls`: the rows of every list, as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.cli.metrics import list_metrics
from genbench.cli.protocols import list_papers, list_protocols, list_references
from genbench.detectors.contract import DetectorStatus
from genbench.detectors.published_preprocessing import PREPROCESSINGS
from genbench.detectors.registry import detector_module, detector_names, detector_status
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.companions import published_file
from genbench.models.contract import ModelCard
from genbench.models.naming import family_named, load_opener, opened_by, opener_entries
from genbench.models.options import adapter_options
from genbench.models.registry import adapter_entries, load_adapter_class
from genbench.records.kinds import QualityRecord, Record
from genbench.records.labels import Labels
from genbench.records.runs import day_of, runs_of
from genbench.runtime.entry_points import Announced
from genbench.runtime.folders import tables_folder
from genbench.speed.datasheets import DTYPE_COLUMNS, Gpu, known_gpus
from genbench.tables.spec_files import spec_paths
from genbench.tables.specs import read_spec
from genbench.weights.files import locate

Rows = list[dict[str, Any]]


def texts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Rows as a terminal shows them; as they are, they are data, null where nothing is known."""
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def list_models() -> Rows:
    """Every announced adapter: at which resolutions it can be sampled now, and where it needs
    weights; a broken one with its reason, a clash with both owners."""
    entries = adapter_entries()
    names = [entry.name for entry in entries]
    rows = []
    for entry in entries:
        row: dict[str, Any] = {
            "model": entry.name, "from": entry.owner, "ready at": [], "needs weights at": [],
            "status": "ready",
        }  # fmt: skip
        try:
            cards = load_adapter_class(entry).cards
            ready = sorted({card.resolution for card in cards if is_ready(card)})
            lacking = sorted({card.resolution for card in cards} - set(ready))
            row |= {"ready at": ready, "needs weights at": lacking}
            if not ready:
                row["status"] = "needs weights"
        except GenbenchError as error:
            row["status"] = str(error)
        if names.count(entry.name) > 1:
            row["status"] = f"name claimed twice, by {entry.target} too: uninstall one"
        rows.append(row)
    return rows + [_opener_row(entry) for entry in opener_entries()]


def _opener_row(entry: Announced) -> dict[str, Any]:
    """What makes a model of a file or folder that the user names."""
    row: dict[str, Any] = {
        "model": entry.name, "from": entry.owner, "ready at": [], "needs weights at": [],
    }  # fmt: skip
    try:
        opener = load_opener(entry)
    except GenbenchError as error:
        return row | {"status": str(error)}
    told = opener.lacking() or opener.about
    return row | {"model": f"{entry.name}:{opener.takes}", "status": told}


def list_model(name: str) -> tuple[Rows, Rows]:
    """The variants and the options of one model."""
    adapter = family_named(name)
    cards: Rows = [
        {
            "variant": card.name,
            "status": "ready" if is_ready(card) else "needs weights",
            "resolution": card.resolution or None,
            "classes": card.classes,
            "parameters": card.parameters or None,
            "NFE": card.nfe,
            "dtype": card.dtype,
            "weights": weights_of_card(card),
            "license": card.license,
            "note": card.note,
            "address": card.checkpoint.url or None if card.checkpoint else None,
        }
        for card in adapter.cards
    ]
    options: Rows = [
        {
            "option": f"--{option.name.replace('_', '-')}",
            "type": option.type.__name__,
            "default": _plain(option.default),
            "choices": list(option.choices),
            "help": option.help,
        }
        for option in adapter_options(adapter).values()
    ]
    return cards, options


def _plain(value: Any) -> Any:
    """A default as JSON has it: a path is text, infinity too."""
    if value is None or isinstance(value, bool | int | str):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def is_ready(card: ModelCard) -> bool:
    """Whether a variant's weights are here: installed with genbench, or fetched."""
    source = card.checkpoint
    if source is None or source.bundled:
        return True
    return bool(source.url) and locate(published_file(source), None) is not None


def weights_of_card(card: ModelCard) -> str:
    """Of what kind the weights are, where there are any to be had."""
    source = card.checkpoint
    if source is None:
        return "none needed"
    return source.kind if source.bundled or source.url else "bring your own"


def list_detectors() -> Rows:
    """Every detector: whether it can be used now, and about how large a download it needs."""
    rows = []
    for name in detector_names():
        status = detector_status(name)
        rows.append({
            "detector": name, "status": "ready" if status.usable else _lacking(status),
            "layers": dict(status.layers), "MB": weight_megabytes(name), "about": status.summary,
        })  # fmt: skip
    return rows


def list_preprocessings() -> Rows:
    """Every way in which images come to a detector, and the code that defines it."""
    return [
        {
            "preprocessing": item.name, "pixels": item.size, "crop": item.crop,
            "resize": str(item.resize), "input": item.scaling, "source": item.source,
        }
        for item in PREPROCESSINGS.values()
    ]  # fmt: skip


def _lacking(status: DetectorStatus) -> str:
    """What a detector that cannot be used needs, in few words: `genbench doctor` says more."""
    try:
        module = detector_module(status.name)
    except GenbenchError as error:
        return str(error)
    return "needs code" if module.missing_code(status.name) else "needs weights"


def weight_megabytes(name: str) -> int | None:
    """About how large the published weights of a detector are; None where nobody says, or for a
    package that is broken."""
    try:
        weight = detector_module(name).weight(name)
    except GenbenchError:
        return None
    return weight.megabytes or None if weight else None


def list_tables(folders: Sequence[Path] = ()) -> Rows:
    """Every table that `genbench table` can show, and where its spec is from; a broken one with its
    fault."""
    rows: Rows = []
    for name, path in spec_paths(folders).items():
        origin = "genbench" if path.parent == tables_folder() else str(path)
        try:
            spec = read_spec(path)
        except GenbenchError as error:
            rows.append({
                "table": name, "title": str(error), "rows": None,
                "of them genbench measures": None, "from": origin,
            })  # fmt: skip
            continue
        measurable = sum(row.measured is not None for row in spec.rows)
        rows.append({
            "table": name, "title": spec.title, "rows": len(spec.rows),
            "of them genbench measures": measurable, "from": origin,
        })  # fmt: skip
    return rows


def list_runs(records: Sequence[Record]) -> Rows:
    """Every run among the records, the latest last: what it measured of what. "of" says in what a
    run differs from others of its model, "settings" what else was asked for."""
    label = Labels(records, named=False)
    return [_run(run, label) for run in runs_of(records).values()]


def _run(run: Sequence[Record], label: Labels) -> dict[str, str]:
    first = run[0]
    differing = {name.replace(" ", "_") for name in label.differing(first)}
    rest = {key: value for key, value in first.options.items() if value not in (None, "")}
    settings = [f"{key} {value}" for key, value in rest.items() if key not in differing]
    if first.weight_kind in ("given", "converted") and "checkpoint" not in differing:
        settings.insert(0, first.checkpoint)
    counts = sorted({record.samples for record in run if isinstance(record, QualityRecord)})
    return {
        "run": first.run,
        "name": first.name,
        "of": label(first),
        "created": day_of(first),
        "protocol": first.protocol,
        "samples": ", ".join(f"{count:,}" for count in counts),
        "metrics": ", ".join(dict.fromkeys(record.metric for record in run)),
        "settings": ", ".join(settings),
    }


LISTS: dict[str, Callable[[], Rows]] = {
    "models": list_models,
    "protocols": list_protocols,
    "papers": list_papers,
    "references": list_references,
    "metrics": list_metrics,
    "detectors": list_detectors,
    "preprocessings": list_preprocessings,
}
LISTED = (*LISTS, "tables", "gpus", "runs")


def named_list(
    what: str, records: Callable[[], Sequence[Record]], folders: Sequence[Path] = ()
) -> list[Rows]:
    """The rows of a list, or a model's variants and options. records: reads those of `ls runs`.
    folders: of a user's table specs. Raises UsageError for other words."""
    if what in LISTS:
        return [LISTS[what]()]
    if what == "tables":
        return [list_tables(folders)]
    if what == "runs":
        return [list_runs(records())]
    if what == "gpus":
        return gpu_lists()
    names = [entry.name for entry in adapter_entries()]
    if what in names or opened_by(what)[0]:
        return list(list_model(what))
    raise UsageError(f"nothing to list is named {what}; {suggestion(what, [*LISTED, *names])}")


def gpu_lists() -> list[Rows]:
    """`genbench ls gpus`: the dense peaks, then the source of each cell."""
    gpus = list(known_gpus().values())
    return [[_row(gpu) for gpu in gpus], [row for gpu in gpus for row in _sources(gpu)]]


def _row(gpu: Gpu) -> dict[str, Any]:
    cells = gpu.cells()

    def value(column: str) -> float | None:
        return cells[column].value if column in cells else None

    return {
        "gpu": gpu.name,
        "also": list(gpu.aliases),
        "CUDA": gpu.capability,
        **{f"{dtype} TFLOP/s": value(dtype) for dtype in DTYPE_COLUMNS},
        "GB/s": value("bandwidth"),
        "unverified": [name for name, cell in cells.items() if cell.confidence == "unverified"],
    }


def _sources(gpu: Gpu) -> Rows:
    columns: dict[tuple[str, str], list[str]] = {}
    for column, cell in gpu.cells().items():
        columns.setdefault((cell.confidence, cell.source), []).append(column)
    return [
        {"gpu": gpu.name, "cells": named, "label": confidence, "source": source}
        for (confidence, source), named in columns.items()
    ]
