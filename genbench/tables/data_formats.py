"""Tables as CSV and JSON, for spreadsheets and scripts: a line a cell, every digit kept."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from genbench.records.kinds import SpeedRecord
from genbench.tables.cells import Cell, Table, TableRow
from genbench.tables.columns import Column

_RELATIONS = {
    "same": "same protocol",
    "other": "another protocol: does not compare",
    "unknown": "protocol of the published figure unknown",
    "": "",
}


def table_to_csv(table: Table) -> str:
    """One line a cell, every digit kept."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_told(table, TableRow(label="", group="", cells=()), table.columns[0], Cell()))
    writer.writerows(cell.values() for cell in _cells(table))
    return out.getvalue()


def table_to_json(table: Table) -> str:
    """The table as one JSON object: title, notes, and under "cells" what CSV has, nulls for what is
    not there."""
    cells = [{key: None if value == "" else value for key, value in cell.items()}
             for cell in _cells(table)]  # fmt: skip
    whole = {"table": table.name, "title": table.title, "notes": table.notes, "cells": cells}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _cells(table: Table) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.published is not None or cell.measured is not None or cell.command:
                yield _told(table, row, column, cell)


def _told(table: Table, row: TableRow, column: Column, cell: Cell) -> dict[str, Any]:
    paper, found = cell.published, cell.measured
    own = found if column.value == "value" else None  # NFE stands beside a figure's notes
    low, high = cell.bounds
    stated = cell.published_under if paper else None
    return {
        "table": table.name, "group": row.group, "row": row.label, "column": column.title,
        "published": paper.value if paper else "",
        "published_unit": paper.unit if paper else "",
        "published_statistic": cell.statistic if paper else "",
        "published_protocol": stated.text if stated else "",
        "confidence": paper.confidence if paper else "",
        "source": paper.source if paper else "",
        "locator": paper.locator if paper else "",
        "measured": _or_empty(cell.value), "low": _or_empty(low), "high": _or_empty(high),
        "runs": cell.runs if found else "", "minimum": _or_empty(cell.minimum),
        "difference": _or_empty(cell.difference), "comparison": _RELATIONS[cell.relation],
        "samples": (found.samples or "") if found else "",
        "protocol": found.protocol if found else "",
        "protocol_digest": found.protocol_digest if found else "",
        "weights": found.weight_kind if found else "",
        "tier": found.tier if isinstance(found, SpeedRecord) else "",
        "device": found.environment.device if found else "",
        "run": found.run if found else "",
        "notes": "; ".join([*(paper.notes if paper else ()), *(own.notes if own else ())]),
        "command": cell.command,
    }  # fmt: skip


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value
