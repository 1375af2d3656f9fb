"""All files of a site, from records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.report.looks import Looks
from genbench.report.summary import subtitle
from genbench.report.templating import SHAPES, environment
from genbench.site.badges import badge
from genbench.site.comparisons import Comparison, comparisons
from genbench.site.fronts import Front, fronts
from genbench.site.history import history_table, series_of
from genbench.site.history_plot import draw_history
from genbench.site.lines import line_of
from genbench.site.listings import comparisons_listing, models_listing, runs_listing
from genbench.site.packed import Packed
from genbench.site.places import Places
from genbench.site.rows import Content, Rows, data_files
from genbench.site.run_pages import run_page
from genbench.site.speeds import speed_tables
from genbench.tables.html_page import stylesheet
from genbench.tables.ranking import TIED, TIED_MARK
from genbench.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Image generators, measured"
ON_INDEX = 6  # tables that the first page shows; it links all
FRONTS_ON_INDEX = 4
DRAWN = 6  # series of one model that are drawn at most; the table has all
_HERE = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site of records, oldest first; equal records give equal files.

    bundles: of runs, by run.
    """

    records: Sequence[Record]
    title: str = TITLE
    bundles: Mapping[str, Packed] = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, bytes | Path]]:
        """Every file by its path, the first page last. Raises GenbenchError when jinja2 or
        matplotlib is not installed."""
        yield "style.css", (stylesheet() + _text("site.css")).encode()
        yield "site.js", f"const SHAPES = {json.dumps(SHAPES)};\n{_text('site.js')}".encode()
        yield from self._runs()
        yield from self._models()
        tables = comparisons(self.records, self._looks, self._places)
        speeds = speed_tables(self.records, self._looks, self._places)
        for table in tables:
            yield from table.rows.files()
            yield self._page(f"{table.rows.id}.html", "table.html", table=table, rows=table.rows,
                             ranked=True)  # fmt: skip
        for rows in speeds:
            yield from rows.files()
            yield self._page(f"{rows.id}.html", "table.html", table=None, rows=rows, ranked=True)
        found = fronts(self.records, self._looks)
        for front in found:
            yield from front.files()
        yield self._page("fronts.html", "fronts.html", fronts=found)
        yield from self._index(tables, speeds, found)

    def _runs(self) -> Iterator[tuple[str, bytes | Path]]:
        for run, records in self._places.runs.items():
            packed = self.bundles.get(run)
            told = run_page(run, records, self._looks, self._places, packed)
            yield self._page(f"{told.page}.html", "run.html", run=told)
            lines = [line_of(record, self._looks.name(record), self._places.number(record))
                     for record in records]  # fmt: skip
            yield from (item for item in data_files(told.page, lines) if item[0].endswith("csv"))
            whole = ",\n".join(to_line(record) for record in records)
            yield f"{told.page}.json", f"[\n{whole}\n]\n".encode()
            for record in records:
                yield self._places.badge(record), badge(record).encode()
            if packed:
                yield packed.file, packed.path
        listing = runs_listing(self._places.runs, self._looks, self._places, self.bundles)
        yield from listing.files()
        yield self._page("runs.html", "table.html", table=None, rows=listing, ranked=False)

    def _models(self) -> Iterator[Content]:
        for model, records in self._by_model.items():
            series = series_of(records)
            rows = history_table(model, series, self._places) if series else None
            if rows:
                yield from rows.files()
            runs: dict[str, list[Record]] = {}
            for record in records:
                runs.setdefault(record.run, []).append(record)
            id = self._places.model(model)
            listing = runs_listing(
                runs, self._looks, self._places, self.bundles, id=f"{id}-runs",
                caption=f"Runs of {model}",
            )  # fmt: skip
            yield from listing.files()
            plots = [
                (
                    one.title,
                    draw_history(one, self._looks.look(one.records[-1]), f"history-{number}"),
                )
                for number, one in enumerate(series[:DRAWN], start=1)
            ]
            drawn = {"plots": plots, "left": len(series) - len(plots)}
            yield self._page(
                f"{id}.html", "model.html", model=model, history=rows, runs=listing, **drawn
            )

    def _index(
        self, tables: Sequence[Comparison], speeds: Sequence[Rows], found: Sequence[Front]
    ) -> Iterator[Content]:
        listing = comparisons_listing(tables, speeds)
        models = models_listing(self._by_model, self._looks, self._places)
        for rows in (listing, models):
            yield from rows.files()
        yield self._page(
            "index.html", "index.html", subtitle=subtitle(self.records), listing=listing,
            models=models, tables=tables[:ON_INDEX], speeds=speeds[: 0 if tables else ON_INDEX],
            fronts=found[:FRONTS_ON_INDEX], left=max(0, len(found) - FRONTS_ON_INDEX),
        )  # fmt: skip

    def _page(self, path: str, template: str, **values: Any) -> Content:
        root = "../" * path.count("/")
        page = self._templates.get_template(template)
        return path, page.render(root=root, site=self.title, **values).encode(errors="replace")

    @cached_property
    def _templates(self) -> Environment:
        found = environment(_HERE)
        found.globals |= {"version": __version__, "tied": (TIED_MARK, TIED)}
        return found

    @cached_property
    def _looks(self) -> Looks:
        return Looks(self.records)

    @cached_property
    def _places(self) -> Places:
        return Places(self.records)

    @cached_property
    def _by_model(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.model, []).append(record)
        return found


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
