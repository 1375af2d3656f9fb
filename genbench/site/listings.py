"""Tables that lead to other pages: of tables, of models, of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.records.kinds import QualityRecord, Record
from genbench.report.looks import Looks
from genbench.site.comparisons import Comparison
from genbench.site.lines import title_of
from genbench.site.packed import Packed
from genbench.site.places import Places, value_of
from genbench.site.rows import Cell, Column, Line, Rows

_SHOWN = 3  # numbers of a run that its row shows


def comparisons_listing(tables: Sequence[Comparison], speeds: Sequence[Rows]) -> Rows:
    """Every table of the site, and what its figures share."""
    rows: list[list[Cell]] = []
    lines: list[Line] = []
    for table in tables:
        page, number = f"{table.rows.id}.html", len(table.rows.rows)
        rows.append([
            Cell(text=table.protocol, sort=table.protocol, small=table.protocol_digest, href=page),
            Cell(text=f"{table.samples:,}", sort=table.samples),
            Cell(text=table.reference or "none", sort=table.reference),
            Cell(text=table.detector, sort=table.detector),
            Cell(text=f"{number:,}", sort=number),
        ])  # fmt: skip
        lines.append({
            "protocol": table.protocol, "protocol_digest": table.protocol_digest,
            "samples": table.samples, "reference": table.reference, "detector": table.detector,
            "rows": number, "page": page,
        })  # fmt: skip
    for found in speeds:
        page, number = f"{found.id}.html", len(found.rows)
        first = Cell(text="speed", sort="speed", small=found.caption, href=page)
        rows.append([first, Cell(), Cell(), Cell(), Cell(text=f"{number:,}", sort=number)])
        lines.append({"protocol": "speed", "rows": number, "page": page})
    titles = ("samples", "reference", "detector", "rows")
    return Rows(
        id="tables/all",
        caption="All tables",
        columns=[
            Column(title="protocol", text=True),
            *(Column(title=title, text=title in titles[1:3]) for title in titles),
        ],
        rows=rows,
        lines=lines,
    )


def models_listing(
    models: Mapping[str, Sequence[Record]], looks: Looks, places: Places
) -> Rows:  # fmt: skip
    """Every model and set of images, with how much of it is on record."""
    rows: list[list[Cell]] = []
    lines: list[Line] = []
    for model in sorted(models):
        records = models[model]
        runs, page = len({record.run for record in records}), f"{places.model(model)}.html"
        days = [record.created for record in records]
        rows.append([
            Cell(text=model, sort=model, href=page, look=looks.look(records[0])),
            Cell(text=f"{runs:,}", sort=runs),
            Cell(text=f"{len(records):,}", sort=len(records)),
            Cell(text=max(days)[:10] or "undated", sort=max(days)),
        ])  # fmt: skip
        lines.append({
            "model": model, "runs": runs, "figures": len(records), "latest": max(days),
            "page": page,
        })  # fmt: skip
    titles = ("runs", "figures", "latest")
    columns = [Column(title="model", text=True), *(Column(title=title) for title in titles)]
    return Rows(id="models/all", caption="All models", columns=columns, rows=rows, lines=lines,
                ordered=0)  # fmt: skip


def runs_listing(
    runs: Mapping[str, Sequence[Record]], looks: Looks, places: Places,
    bundles: Mapping[str, Packed], *, id: str = "runs/all", caption: str = "All runs",
) -> Rows:  # fmt: skip
    """Every run, the latest first."""
    rows: list[list[Cell]] = []
    lines: list[Line] = []
    for run in sorted(runs, key=lambda run: max(one.created for one in runs[run]), reverse=True):
        records = runs[run]
        last, page = records[-1], f"{places.run(run)}.html"
        name = looks.name(last)
        shown = [f"{title_of(one)} {value_of(one)}" for one in records[:_SHOWN]]
        more = len(records) - len(shown)
        told = ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])
        count = last.samples if isinstance(last, QualityRecord) else None
        rows.append([
            Cell(text=run[:40], sort=run, small=last.name, href=page),
            Cell(text=name, sort=name, look=looks.look(last)),
            Cell(text=last.protocol, sort=last.protocol),
            Cell() if count is None else Cell(text=f"{count:,}", sort=count),
            Cell(text=told, sort=records[0].value),
            Cell(text=last.environment.genbench or "–", sort=last.environment.genbench),
            Cell(text="yes" if run in bundles else "–", sort=int(run in bundles)),
            Cell(text=last.created[:10] or "undated", sort=last.created),
        ])  # fmt: skip
        lines.append({
            "run": run, "name": last.name, "model": last.model, "protocol": last.protocol,
            "samples": count, "figures": len(records), "genbench": last.environment.genbench,
            "bundle": bundles[run].file if run in bundles else "", "created": last.created,
            "page": page,
        })  # fmt: skip
    return Rows(
        id=id,
        caption=caption,
        columns=[
            Column(title="run", text=True), Column(title="model", text=True),
            Column(title="protocol", text=True), Column(title="samples"),
            Column(title="numbers", text=True), Column(title="genbench"),
            Column(title="bundle"), Column(title="measured"),
        ],
        rows=rows, lines=lines, ordered=7, descending=True,
    )  # fmt: skip
