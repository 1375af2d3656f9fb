"""Table specs: which rows and columns a table has, which records may fill them; never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.records.protocols import EvalProtocol, load_protocols
from genbench.runtime.validated import read_toml, validated
from genbench.tables.basis import published_basis
from genbench.tables.columns import Column
from genbench.tables.measured import MeasuredSelector
from genbench.tables.published import PublishedSelector
from genbench.tables.spec_files import spec_paths

_OF_ALL_ROWS = ("published_protocol", "runs", "reported")  # keys that a file says once for all


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: where its published values stand and which records fill it."""

    label: str
    group: str = ""
    published: tuple[PublishedSelector, ...] = ()
    # What the published figures of quality rest on (`published_basis`), one for all or by their
    # names in published.csv: { FID = "edm-imagenet64", recall = "unknown: …" }.
    published_protocol: str | Mapping[str, str] = ""
    runs: Annotated[int, Ge(1)] = 1  # of several seeds, on which a figure rests
    reported: Literal["", "minimum", "mean"] = ""  # which of them the paper prints
    measured: MeasuredSelector | None = None  # None: genbench has no such model

    def __post_init__(self) -> None:
        if self.reported and self.runs < 2:
            raise GenbenchError(
                f'reported = "{self.reported}" is of several runs: add runs = 3, or what it is'
            )

    def stated_protocol(self, column: Column) -> str:
        """What the row says of a column's published figure."""
        if isinstance(self.published_protocol, str):
            return self.published_protocol
        return self.published_protocol.get(column.published, "")

    def reports_minimum(self, column: Column) -> bool:
        """Whether a column's figure is the minimum of several runs: where lower is better."""
        return self.reported == "minimum" and column.higher_is_better is False


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table without its values."""

    name: str
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def at_count(spec: TableSpec, samples: int) -> TableSpec:
    """The same table of records at another sample count."""
    rows = (
        replace(row, measured=row.measured and replace(row.measured, samples=samples))
        for row in spec.rows
    )
    return replace(spec, rows=tuple(rows))


def spec_names(folders: Sequence[Path] = ()) -> list[str]:
    """Every table that `genbench table` knows: those in a user's folders, then genbench's own."""
    return list(spec_paths(folders))


def load_spec(name: str, folders: Sequence[Path] = ()) -> TableSpec:
    """The table spec of that name, looked for in `folders` first, or of a file named by its path
    (it ends in .toml). Raises UsageError with the nearest for an unknown one."""
    if name.endswith(".toml"):
        return read_spec(Path(name))
    paths = spec_paths(folders)
    if name not in paths:
        raise UsageError(f"no table is named {name}; {suggestion(name, paths)}")
    return read_spec(paths[name])


@dataclass(frozen=True, kw_only=True)
class SpecFile:
    """A spec as its TOML has it, `published` and `measured` already in the rows."""

    title: Annotated[str, MinLen(1)]
    column: Annotated[tuple[Column, ...], MinLen(1)]
    row: Annotated[tuple[Row, ...], MinLen(1)]
    notes: tuple[str, ...] = ()
    published: Mapping[str, Any] = field(default_factory=dict)
    published_protocol: str | Mapping[str, str] = ""
    runs: Annotated[int, Ge(1)] = 1
    reported: Literal["", "minimum", "mean"] = ""
    measured: Mapping[str, Any] = field(default_factory=dict)


def read_spec(path: Path) -> TableSpec:
    """A table spec file. Raises GenbenchError with file, key and value for what it may not say."""
    content = read_toml(path)
    rows = content.get("row")
    if isinstance(rows, list):
        content["row"] = [_completed(row, content) for row in rows]
        for number, row in enumerate(content["row"]):
            _check_texts(row, f"{path}: row[{number}]")
    read = validated(content, SpecFile, name=path)
    _check_protocols(read, path)
    return TableSpec(
        name=path.stem, title=read.title, notes=read.notes, columns=read.column, rows=read.row
    )


def _check_texts(row: Any, place: str) -> None:
    """Raises GenbenchError for protocols that are neither a text nor a table of texts."""
    if not isinstance(row, dict):
        return
    measured = row.get("measured")
    found = {"published_protocol": row.get("published_protocol", "")}
    if isinstance(measured, dict):
        found["measured.protocol"] = measured.get("protocol", "")
    for key, value in found.items():
        texts = list(value.values()) if isinstance(value, dict) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise GenbenchError(
                f"{place}.{key} {value!r} is neither a text nor a table of texts: correct it"
            )


def _check_protocols(read: SpecFile, path: Path) -> None:
    """Raises GenbenchError for a row that no record could fill, and for what is no protocol."""
    protocols = load_protocols()
    quality = [column for column in read.column if column.measured and column.quality]
    for number, row in enumerate(read.row):
        _check_stated(row, read.column, protocols, f"{path}: row[{number}]")
        if row.measured and quality:
            _check_measured(row.measured, quality, protocols, f"{path}: row[{number}].measured")


def _check_stated(
    row: Row, columns: Sequence[Column], protocols: Mapping[str, EvalProtocol], place: str
) -> None:
    stated = row.published_protocol
    if not isinstance(stated, str):
        known = [column.published for column in columns if column.published]
        for name in stated:
            if name not in known:
                raise GenbenchError(
                    f"{place}.published_protocol: no column prints {name}; "
                    f"{suggestion(name, known)}"
                )
    for text in [stated] if isinstance(stated, str) else stated.values():
        try:
            published_basis(text, protocols)
        except GenbenchError as error:
            raise GenbenchError(f"{place}.{error}") from error


def _check_measured(
    wanted: MeasuredSelector,
    columns: Sequence[Column],
    protocols: Mapping[str, EvalProtocol],
    place: str,
) -> None:
    named = wanted.protocol
    if not isinstance(named, str):
        known = [name for column in columns for name in (column.title, column.metric) if name]
        for name in named:
            if name not in known:
                raise GenbenchError(
                    f"{place}.protocol.{name} is of no column; {suggestion(name, known)}"
                )
        if wanted.sweep and wanted.best_of not in named:
            raise GenbenchError(
                f"{place}.protocol lacks {wanted.best_of}, by which best_of chooses: add it"
            )
    for name in [named] if isinstance(named, str) else named.values() or [""]:
        if name not in protocols:
            raise GenbenchError(
                f"{place}.protocol {name or 'is missing'}: name one of protocols.toml; "
                f"{suggestion(name, protocols)}"
            )
    if not wanted.samples:
        raise GenbenchError(
            f"{place}.samples is missing: give the sample count of the row's figures"
        )


def _completed(row: Any, usual: Mapping[str, Any]) -> Any:
    """A row with what the file says once for all rows."""
    if not isinstance(row, dict):
        return row
    row = {"published": []} | row
    row = {key: usual[key] for key in _OF_ALL_ROWS if key in usual} | row
    if isinstance(row["published"], dict):
        row["published"] = [row["published"]]
    if isinstance(row["published"], list):
        row["published"] = [_over(usual.get("published"), item) for item in row["published"]]
    if "measured" in row:
        row["measured"] = _over(usual.get("measured"), row["measured"])
    return row


def _over(usual: Any, own: Any) -> Any:
    return usual | own if isinstance(usual, dict) and isinstance(own, dict) else own
