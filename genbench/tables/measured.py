"""Which records may fill a row of a table spec."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated

from annotated_types import Ge

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import metric_named, reported_key
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.protocols import EvalProtocol
from genbench.tables.checkpoints import is_of_checkpoint
from genbench.tables.columns import Column
from genbench.tables.conditions import Conditions, admitted, equal

_LABELS = ("", "uniform", "balanced")  # schedules over all classes, or a model without any


@dataclass(frozen=True, kw_only=True)
class MeasuredSelector:
    """Which records may fill a row, and how the command that makes them names the model."""

    model: str
    resolution: int
    variant: str = ""
    checkpoint: str = ""  # a path, a pattern of the file's name, or digits of its SHA-256
    name: str = ""  # a pattern of what --name gave the run
    run: str = ""  # the first letters of a run
    # One for all columns, or by the column's title or metric: { fid = "edm-imagenet64", … }.
    protocol: str | Mapping[str, str] = ""
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

    def protocol_of(self, column: Column) -> str:
        """The name of the protocol that a column is measured under; empty: it is not measured."""
        if isinstance(self.protocol, str):
            return self.protocol
        by_title = self.protocol.get(column.title, "") if column.title else ""
        return by_title or self.protocol.get(column.metric, "")

    def admits(self, record: Record, column: Column, protocol: EvalProtocol | None) -> bool:
        """Whether a record may stand in this row and column."""
        if (record.model, record.resolution) != (self.model, self.resolution):
            return False
        if self.variant and record.card != self.variant:
            return False
        if not self._is_run(record):
            return False
        options = {key: record.options.get(key) for key in self.options}
        if not all(equal(options[key], wanted) for key, wanted in self.options.items()):
            return False
        if not (admitted(record, column.where) and admitted(record, self.where)):
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

    def command(self, column: Column, runs: int = 1) -> str:
        """The command line that makes the missing record, or those of several runs."""
        named = f"--checkpoint {shlex.quote(self.checkpoint)}" if self.checkpoint else ""
        weights = self.weights or named
        return (f"{self.first} && " if self.first else "") + column.command.format(
            model=self.model,
            resolution=self.resolution,
            variant=f" --variant {self.variant}" if self.variant else "",
            weights=f" {weights}" if weights else "",
            arguments=f" {self.arguments}" if self.arguments else "",
            name=f" --name {shlex.quote(self.name)}" if self.name else "",
            protocol=self.protocol_of(column),
            reference=f" --ref {self.reference}" if self.reference else "",
            samples=self.samples,
            seeds=f" --seeds {runs}" if runs > 1 and column.quality else "",
        )
