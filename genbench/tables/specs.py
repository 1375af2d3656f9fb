"""Table specs: which rows and columns a table has and which records may fill it; never a value."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.metrics.catalogue import METRICS, find_metric, metric_named, reported_key
from genbench.metrics.metric import Metric
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.protocols import EvalProtocol, load_protocols
from genbench.runtime.validated import read_toml, validated
from genbench.tables.checkpoints import is_of_checkpoint
from genbench.tables.published import PublishedSelector
from genbench.tables.spec_files import spec_paths

FID_COMMAND = (
    "genbench fid --model {model} --res {resolution}{variant}{weights}{arguments}{name} "
    "--protocol {protocol}{reference} -n {samples} --ci"
)
_IN_COMMANDS = ("model", "resolution", "variant", "weights", "arguments", "name", "protocol",
                "reference", "samples")  # fmt: skip
_LABELS = ("", "uniform", "balanced")  # schedules over all classes, or a model without any

# What a field of a record must be, or any of several: text is a pattern ("*V100*").
Wanted = str | int | float | bool
Conditions = Mapping[str, Wanted | tuple[Wanted, ...]]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. A metric of the catalogue is filled under the row's protocol; anything else from
    the records that `where` admits."""

    metric: str  # key of the metric ("fid"), or the metric of a record ("throughput")
    published: str = ""  # metric in published.csv; empty: no paper prints it
    title: str = ""  # empty: the metric's own
    digits: Annotated[int, Ge(0), Le(9)] = 2  # decimals shown
    better: Literal["", "lower", "higher"] = ""  # empty: the metric's own, or no best
    value: str = "value"  # path into the record: "work.utilisation_datasheet"
    # What the record's value is multiplied by: 100 makes a fraction per cent.
    scale: Annotated[int, Ge(1)] = 1
    where: Conditions = field(default_factory=dict)
    command: str = FID_COMMAND
    measured: bool = True  # False: no command of genbench measures it

    def __post_init__(self) -> None:
        if self.measured and self.quality is None and not self.where:
            raise GenbenchError(
                f"{self.metric} is no metric of a protocol ({suggestion(self.metric, METRICS)}): "
                "correct it, say with where = {…} which records may fill it, or measured = false"
            )
        known = dict.fromkeys(_IN_COMMANDS, "")
        try:
            self.command.format(**known)
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            raise GenbenchError(
                f"command {self.command!r} cannot be filled in ({type(error).__name__}: {error}): "
                f"braces hold one of {', '.join(_IN_COMMANDS)}"
            ) from error

    @property
    def quality(self) -> Metric | None:
        """The metric of which a protocol and a sample count decide the figure; None: no such."""
        return find_metric(self.metric)

    @property
    def higher_is_better(self) -> bool | None:
        """Direction of the column; None when there is no better or worse."""
        if self.better:
            return self.better == "higher"
        if self.value != "value":  # such as NFE, which stands beside a figure
            return None
        return self.quality.higher_is_better if self.quality else None


@dataclass(frozen=True, kw_only=True)
class MeasuredSelector:
    """Which records may fill a row, and how the command that makes them names the model."""

    model: str
    resolution: int
    variant: str = ""
    checkpoint: str = ""  # a path, a pattern of the file's name, or digits of its SHA-256
    name: str = ""  # a pattern of what --name gave the run
    run: str = ""  # the first letters of a run
    protocol: str = ""
    samples: Annotated[int, Ge(0)] = 0
    reference: str = ""  # what --ref must name, for protocols without a reference
    options: Conditions = field(default_factory=dict)  # of the model, as records hold them
    where: Conditions = field(default_factory=dict)  # further conditions on records
    first: str = ""  # a command to be run once before, such as a conversion
    weights: str = ""  # how the command names the weights
    arguments: str = ""  # the options it passes
    sweep: str = ""  # an option that was tried at several values; its best by `best_of` counts
    best_of: str = ""  # a metric of the catalogue

    def __post_init__(self) -> None:
        if self.sweep and not self.best_of:
            raise GenbenchError(f'sweep = "{self.sweep}" needs best_of = "METRIC": add it')
        if self.sweep:
            metric_named(self.best_of)

    def admits(self, record: Record, column: Column, protocol: EvalProtocol | None) -> bool:
        """Whether a record may stand in this row and column."""
        if (record.model, record.resolution) != (self.model, self.resolution):
            return False
        if self.variant and record.card != self.variant:
            return False
        if not self._is_run(record):
            return False
        options = {key: record.options.get(key) for key in self.options}
        if not all(_equal(options[key], wanted) for key, wanted in self.options.items()):
            return False
        if not all(_admitted(record, column.where) + _admitted(record, self.where)):
            return False
        if column.quality is None:
            return record.metric == column.metric
        assert protocol is not None
        return isinstance(record, QualityRecord) and (
            record.metric == reported_key(column.quality, protocol.detector)
            and record.protocol_digest == protocol.digest()
            and record.samples == self.samples
            and record.labels in _LABELS
            # --ref may have named another reference, which the protocol's digest does not tell
            and (not (record.reference and protocol.reference)
                 or record.reference == protocol.reference)
        )  # fmt: skip

    def _is_run(self, record: Record) -> bool:
        """Whether a record is of the run and the weights that are named. Speed asks for neither:
        it is one for all weights."""
        if isinstance(record, SpeedRecord):
            return True
        return (
            is_of_checkpoint(record, self.checkpoint)
            and fnmatchcase(record.name, self.name or "*")
            and record.run.startswith(self.run)
        )

    def command(self, column: Column) -> str:
        """The command line that makes the missing record."""
        named = f"--checkpoint {shlex.quote(self.checkpoint)}" if self.checkpoint else ""
        weights = self.weights or named
        return (f"{self.first} && " if self.first else "") + column.command.format(
            model=self.model,
            resolution=self.resolution,
            variant=f" --variant {self.variant}" if self.variant else "",
            weights=f" {weights}" if weights else "",
            arguments=f" {self.arguments}" if self.arguments else "",
            name=f" --name {shlex.quote(self.name)}" if self.name else "",
            protocol=self.protocol,
            reference=f" --ref {self.reference}" if self.reference else "",
            samples=self.samples,
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: where its published values stand and which records fill it."""

    label: str
    group: str = ""
    published: tuple[PublishedSelector, ...] = ()
    measured: MeasuredSelector | None = None  # None: genbench has no such model


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
    measured: Mapping[str, Any] = field(default_factory=dict)


def read_spec(path: Path) -> TableSpec:
    """A table spec file. Raises GenbenchError with file, key and value for what it may not say."""
    content = read_toml(path)
    rows = content.get("row")
    if isinstance(rows, list):
        content["row"] = [_completed(row, content) for row in rows]
    read = validated(content, SpecFile, name=path)
    _check_protocols(read, path)
    return TableSpec(
        name=path.stem, title=read.title, notes=read.notes, columns=read.column, rows=read.row
    )


def _check_protocols(read: SpecFile, path: Path) -> None:
    """Raises GenbenchError for a row that no record could fill."""
    if not any(column.measured and column.quality for column in read.column):
        return
    protocols = load_protocols()
    for number, row in enumerate(read.row):
        place = f"{path}: row[{number}].measured"
        if row.measured and row.measured.protocol not in protocols:
            known = suggestion(row.measured.protocol, protocols)
            raise GenbenchError(
                f"{place}.protocol {row.measured.protocol or 'is missing'}: name one of "
                f"protocols.toml; {known}"
            )
        if row.measured and not row.measured.samples:
            raise GenbenchError(
                f"{place}.samples is missing: give the sample count of the row's figures"
            )


def _completed(row: Any, usual: Mapping[str, Any]) -> Any:
    """A row with what the file says once for all rows."""
    if not isinstance(row, dict):
        return row
    row = {"published": []} | row
    if isinstance(row["published"], dict):
        row["published"] = [row["published"]]
    if isinstance(row["published"], list):
        row["published"] = [_over(usual.get("published"), item) for item in row["published"]]
    if "measured" in row:
        row["measured"] = _over(usual.get("measured"), row["measured"])
    return row


def _over(usual: Any, own: Any) -> Any:
    return usual | own if isinstance(usual, dict) and isinstance(own, dict) else own


def record_value(record: Record, path: str) -> Any:
    """What stands at a dotted path of a record ("training.network"); None when nothing does."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def _admitted(record: Record, where: Conditions) -> list[bool]:
    return [_equal(record_value(record, path), wanted) for path, wanted in where.items()]


def _equal(value: Any, wanted: Wanted | tuple[Wanted, ...]) -> bool:
    """Whether a value is one of those wanted: text by pattern ("*V100*"), "" for not given."""
    for item in wanted if isinstance(wanted, tuple) else (wanted,):
        if item == "" and value in (None, ""):
            return True
        if isinstance(item, str) and isinstance(value, str) and fnmatchcase(value, item):
            return True
        if type(item) is not str and value == item:
            return True
    return False
