"""The report: tables, figures, samples and provenance as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from genbench.records.kinds import QualityRecord, Record
from genbench.report.curves import (
    EvaluationPlot,
    OptionSweep,
    SpeedPlot,
    batch_curves,
    evaluation_plots,
    labels_of,
    quality_records,
    speed_plots,
    sweeps,
)
from genbench.report.extrapolation import count_curves, told_limit
from genbench.report.plots import (
    draw_batches,
    draw_counts,
    draw_evaluations,
    draw_speed,
    draw_sweeps,
)
from genbench.report.provenance import provenance_html, shown_interval, shown_number
from genbench.report.samples import COLUMNS, Pairs, pairs_of
from genbench.report.svg import inline_svg
from genbench.tables.build import Table
from genbench.tables.html import rows_to_html, table_to_fragment
from genbench.tables.html_page import page

Records = Sequence[Record]
Rows = Sequence[Sequence[str]]
Figure = tuple[str, str, Sequence[str], Rows]  # SVG, caption, and its data: header, rows

_FID = "genbench fid --model MODEL --res 32"
COMMANDS = {  # what fills a figure that has no data yet
    "speed": f"{_FID} -n 10000 --ci\ngenbench throughput --model MODEL --res 32",
    "counts": f"{_FID} -n 2500 -n 5000 -n 7500 -n 10000 --metric fd --ci",
    "sweeps": f"{_FID} -n 2000 --metric precision --metric recall --truncation 0.5\n"
    f"{_FID} -n 2000 --metric precision --metric recall --classifier-scale 2",
    "evaluations": f"{_FID} -n 2000 --metric fd --steps 50\n{_FID} -n 2000 --metric fd --steps 10",
    "batches": "genbench throughput --model MODEL --res 32 --batch auto",
}


def report_html(records: Records, tables: Sequence[Table], *, cache: Path) -> str:
    """The whole page. Raises GenbenchError when matplotlib is not installed."""
    parts: dict[str, tuple[str, str]] = {
        "tables": ("Tables", "".join(map(table_to_fragment, tables))),
        "speed": ("Quality against speed", _speed(records)),
        "counts": ("Quality against sample count", _counts(records)),
        "sweeps": ("Precision against recall", _sweeps(records)),
        "evaluations": ("Quality against network evaluations", _evaluations(records)),
        "samples": ("Samples and their nearest references", _samples(records, cache)),
        "batches": ("Throughput against batch size", _batches(records)),
        "provenance": ("Environment and provenance", provenance_html(records)),
    }  # fmt: skip
    body = "".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>\n{text}</section>\n'
        for name, (title, text) in parts.items()
    )
    sections = {name: title for name, (title, _) in parts.items()}
    return page("genbench report", body, sections=sections)


def _figure(svg: str, name: str, caption: str, header: Sequence[str], rows: Rows) -> str:
    """A figure with the same data as a table, for whoever cannot see it."""
    return (
        f"<figure>\n{inline_svg(svg, name)}<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
        f"<details><summary>Data of this figure</summary>\n"
        f"{rows_to_html(caption, header, rows)}</details>\n"
    )


def _figures(name: str, figures: Iterable[Figure]) -> str:
    """Several of one kind."""
    return "".join(
        _figure(svg, f"{name}{number}", caption, header, rows)
        for number, (svg, caption, header, rows) in enumerate(figures)
    )


def _missing(name: str, what: str) -> str:
    return (
        f"<p>{escape(what)} These commands bring it:</p>\n"
        f"<pre><code>{escape(COMMANDS[name])}</code></pre>\n"
    )


def _speed(records: Records) -> str:
    plots = speed_plots(records)
    if not plots:
        return _missing("speed", "No model has both its quality and its speed on record.")
    return _figures("speed", map(_speed_figure, plots))


def _speed_figure(plot: SpeedPlot) -> Figure:
    metric = plot.metric.upper()
    caption = (
        f"{metric} at {plot.samples:,} samples against images per second on {plot.device}; "
        "dashed: no model is both better and faster than those on this line."
    )
    rows = [
        [
            *(point.model, shown_number(point.quality.value), shown_interval(point.quality)),
            *(shown_number(point.speed.value), shown_interval(point.speed)),
            "yes" if point.on_front else "no",
        ]
        for point in plot.points
    ]
    header = ["model", metric, "95% interval", "images/s", "interval", "on the Pareto front"]
    return draw_speed(plot), caption, header, rows


def _counts(records: Records) -> str:
    curves = count_curves(records)
    if not curves:
        return _missing("counts", "No samples were measured at two counts or more.")
    rows = [
        [
            curve.model,
            curve.metric.upper(),
            f"{count:,}",
            shown_number(value),
            told_limit(curve),
        ]
        for curve in curves
        for count, value in zip(curve.counts, curve.values, strict=True)
    ]
    header = [
        "model",
        "metric",
        "samples",
        "value",
        "at infinitely many samples, given the reference",
    ]
    caption = (
        "Fréchet distance against the number of samples. Fewer samples make it too high; the line "
        "fits a constant plus a multiple of 1/n, and the constant is free of that bias. A finite "
        "reference makes it too high as well: what that adds is estimated from the reference's "
        "two halves."
    )
    return _figure(draw_counts(curves), "counts", caption, header, rows)


def _sweeps(records: Records) -> str:
    found = sweeps(records)
    if not found:
        return _missing("sweeps", "No option, such as truncation or guidance scale, was swept.")
    # Counts do not compare, and of one sweep at several the largest is the most exact.
    most: dict[tuple[str, str], int] = {}
    for curve in found:
        swept = (curve.model, curve.option)
        most[swept] = max(curve.samples, most.get(swept, 0))
    kept = [curve for curve in found if curve.samples == most[curve.model, curve.option]]
    counts = sorted({curve.samples for curve in kept})
    return _figures(
        "sweeps",
        (_sweeps_figure([curve for curve in kept if curve.samples == count]) for count in counts),
    )


def _sweeps_figure(curves: Sequence[OptionSweep]) -> Figure:
    """Of sweeps at one sample count."""
    rows = [
        [curve.model, f"{curve.option.replace('_', ' ')} {setting}", *map(shown_number, figures)]
        for curve in curves
        for setting, *figures in zip(curve.settings, curve.precision, curve.recall, strict=True)
    ]
    caption = (
        f"Precision against recall at {curves[0].samples:,} samples, over an option of each model."
    )
    return draw_sweeps(curves), caption, ["model", "setting", "precision", "recall"], rows


def _evaluations(records: Records) -> str:
    plots = evaluation_plots(records)
    if not plots:
        return _missing("evaluations", "No sampler was measured at two numbers of evaluations.")
    return _figures("evaluations", map(_evaluations_figure, plots))


def _evaluations_figure(plot: EvaluationPlot) -> Figure:
    metric = plot.metric.upper()
    caption = (
        f"{metric} at {plot.samples:,} samples against the network evaluations of one sample, "
        "as counted while sampling; those of a guiding classifier come on top."
    )
    rows = [
        [point.model, f"{point.evaluations:g}", shown_number(point.quality.value)]
        for point in plot.points
    ]
    return draw_evaluations(plot), caption, ["model", "evaluations", metric], rows


def _batches(records: Records) -> str:
    curves = batch_curves(records)
    if not curves:
        return _missing("batches", "No throughput was measured at two batch sizes or more.")
    rows = [
        [curve.model, curve.device, str(batch), shown_number(rate)]
        for curve in curves
        for batch, rate in zip(curve.batches, curve.rates, strict=True)
    ]
    header = ["model", "device", "batch size", "images/s"]
    caption = "Images per second against batch size."
    return _figure(draw_batches(curves), "batches", caption, header, rows)


def _samples(records: Records, cache: Path) -> str:
    drawn = {
        (record.model, record.card, record.samples_digest): record
        for record in quality_records(records)
        if record.card and record.samples_digest and record.reference
    }
    pictures: dict[tuple[str, str], tuple[QualityRecord, Pairs | None]] = {}
    for (model, card, _), record in drawn.items():  # one picture a model: of what is in the cache
        if pictures.get((model, card), (record, None))[1] is None:
            pictures[model, card] = (record, pairs_of(record, cache))
    label = labels_of(records)
    text, absent = "", []
    for record, found in pictures.values():
        if found is None:
            absent.append(
                f"genbench sample --model {record.model} --res {record.resolution} -n 64 "
                f"--seed {record.seed} --out {record.model}.png"
            )
            continue
        caption = f"{label(record)}, seed {record.seed}: samples"
        if found.nearest:
            caption += (
                f" (odd rows) and below each its nearest image of {record.reference} by features "
                f"of {record.detector} (even rows)"
            )
        file = io.BytesIO()
        found.picture.save(file, format="PNG")
        data = base64.b64encode(file.getvalue()).decode()
        wide = max(found.picture.width, COLUMNS * 64)
        text += (
            f'<figure><img class="pixels" width="{wide}" src="data:image/png;base64,{data}" '
            f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>\n'
        )
        if found.nearest:
            pairs = enumerate(zip(found.nearest, found.distances, strict=True))
            rows = [[str(i), str(index), f"{distance:.4g}"] for i, (index, distance) in pairs]
            header = ["sample", "nearest reference image", "distance"]
            text += (
                "<details><summary>Data of this figure</summary>\n"
                f"{rows_to_html(caption, header, rows)}</details>\n"
            )
    if absent:
        commands = escape("\n".join(dict.fromkeys(absent)))
        text += (
            "<p>No drawn samples of these are in the cache; this draws them:</p>\n"
            f"<pre><code>{commands}</code></pre>\n"
        )
    return text or "<p>No model is on record yet.</p>\n"
