"""What the public door gives back: printed as a table, shown as HTML, made a data frame."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.labels import labels_of
from genbench.records.protocols import load_protocols
from genbench.tables.build import build_table
from genbench.tables.cells import Table
from genbench.tables.data_formats import table_to_csv, table_to_json
from genbench.tables.from_records import RecordsTable, table_of_records
from genbench.tables.html import listing_to_fragment, table_to_fragment
from genbench.tables.listings import Listing, list_quality, list_speeds
from genbench.tables.published import load_published
from genbench.tables.specs import TableSpec
from genbench.tables.terminal import listing_to_terminal, table_to_terminal
from genbench.tables.text_formats import table_to_latex, table_to_markdown

if TYPE_CHECKING:
    import pandas

R = TypeVar("R", bound=Record, covariant=True)


class Results(Sequence[R], Generic[R]):
    """Records, in order. `print(results)` gives the table of the command line."""

    def __init__(self, records: Sequence[R]) -> None:
        self._records = tuple(records)

    @overload
    def __getitem__(self, position: int) -> R: ...
    @overload
    def __getitem__(self, position: slice) -> Results[R]: ...
    def __getitem__(self, position: int | slice) -> R | Results[R]:
        if isinstance(position, slice):
            return Results(self._records[position])
        return self._records[position]

    def __len__(self) -> int:
        return len(self._records)

    def __add__(self, others: Results[Any]) -> Results[Any]:
        return Results([*self, *others])

    def value(self, metric: str, samples: int | None = None) -> float:
        """The last value of a metric ("fd"), at one sample count where there are several.

        Raises KeyError with the metrics and counts that there are.
        """
        for record in reversed(self._records):
            if record.metric == metric and samples in (None, record.samples):
                return record.value
        there = dict.fromkeys(f"{item.metric} at {item.samples}" for item in self._records)
        wanted = metric if samples is None else f"{metric} at {samples}"
        raise KeyError(f"no {wanted}; there are: {', '.join(there) or 'none'}")

    def to_frame(self) -> pandas.DataFrame:
        """One row a record, one column a field; fields within fields as "environment.device"."""
        import pandas

        return pandas.json_normalize([asdict(record) for record in self._records])

    def table(
        self,
        *,
        rows: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        samples: int = 0,
        protocol: str = "",
    ) -> TableView:
        """The figures that compare as one table: a row a model, checkpoint and setting.

        rows: what tells rows apart ("checkpoint", "options", "steps"); None: everything. columns:
        metrics; None: all on record. samples, protocol: 0 and "": those of most models; "A,B" and
        "all" are several protocols, in columns of their own. Raises UsageError, with what there is,
        for what is not on record.
        """
        wanted = RecordsTable(
            rows=None if rows is None else tuple(rows),
            columns=None if columns is None else tuple(columns),
            samples=samples, protocol=protocol,
        )  # fmt: skip
        return TableView(table_of_records(self._records, wanted))

    def listings(self) -> Iterator[Listing]:
        """A table a run of quality figures, and one of all speeds."""
        quality: dict[str, list[QualityRecord]] = {}
        speeds: list[SpeedRecord] = []
        for record in self._records:
            if isinstance(record, QualityRecord):
                quality.setdefault(record.run, []).append(record)
            else:
                speeds.append(record)
        label = labels_of(self._records)
        for run in quality.values():
            yield list_quality(run, label(run[0]))
        listing = list_speeds(speeds)
        if listing.rows:
            yield listing

    def __repr__(self) -> str:
        shown = "\n".join(map(listing_to_terminal, self.listings()))
        return shown.rstrip("\n") or "no records"

    def _repr_html_(self) -> str:
        return "".join(map(listing_to_fragment, self.listings())) or "<p>no records</p>"


class TableView:
    """A table of published and measured numbers, in every format."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def to_markdown(self) -> str:
        """A pipe table with its footnotes."""
        return table_to_markdown(self.table)

    def to_latex(self) -> str:
        """A booktabs table with its footnotes."""
        return table_to_latex(self.table)

    def to_csv(self) -> str:
        """One line a cell, every digit kept."""
        return table_to_csv(self.table)

    def to_json(self) -> str:
        """The same as a JSON object."""
        return table_to_json(self.table)

    def to_frame(self) -> pandas.DataFrame:
        """One row a cell: published, measured, difference, and where both come from."""
        import pandas

        return pandas.read_csv(io.StringIO(self.to_csv()))

    def __repr__(self) -> str:
        return table_to_terminal(self.table).rstrip("\n")

    def _repr_html_(self) -> str:
        return table_to_fragment(self.table)


def built(spec: TableSpec, records: Sequence[Record]) -> TableView:
    """A table spec filled with the published numbers and these records."""
    return TableView(build_table(spec, load_published(), records, load_protocols()))
