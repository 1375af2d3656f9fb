"""A column of a table spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le

from genbench.errors import GenbenchError, suggestion
from genbench.metrics.catalogue import METRICS, find_metric
from genbench.metrics.metric import Metric
from genbench.tables.conditions import Conditions

FID_COMMAND = (
    "genbench fid --model {model} --res {resolution}{variant}{weights}{arguments}{name} "
    "--protocol {protocol}{reference} -n {samples}{seeds} --ci"
)
_IN_COMMANDS = ("model", "resolution", "variant", "weights", "arguments", "name", "protocol",
                "reference", "samples", "seeds")  # fmt: skip


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
