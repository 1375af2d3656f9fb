"""The command that would fill a gap in a table of what is on record."""

from __future__ import annotations

import shlex
from itertools import pairwise

from genbench.records.kinds import QualityRecord, Record
from genbench.tables.columns import Column


def command_for(record: Record, column: Column, like: QualityRecord | None) -> str:
    """What measures the missing figure of a row: of the same model, weights and options.

    record: of the row. like: of the column, a figure of the protocol and count that are wanted;
    None for a column of speeds.
    """
    given = _checkpoint_of(record)
    words = ["--model", record.model, "--res", str(record.resolution)]
    if not record.card:
        words = ["--samples", record.model]
    elif record.card != record.model:
        words += ["--variant", record.card]
    words += ["--checkpoint", given] if given else []
    for name, value in record.options.items() if record.card else ():
        if value not in (None, "") and name != "compile":
            text = str(value).lower() if isinstance(value, bool) else str(value).split(" ")[0]
            words += [f"--{name.replace('_', '-')}", text]
    words += ["--dtype", record.arithmetic] if record.arithmetic else []
    words += ["--name", record.name] if record.name else []
    if like is None:
        return "genbench throughput " + shlex.join(words)
    assert isinstance(record, QualityRecord)
    words += ["--seed", str(record.seed)] if record.seed else []
    words += ["--protocol", like.protocol.rstrip("*"), "-n", str(like.samples)]
    return "genbench fid " + shlex.join([*words, "--metric", column.metric])


def _checkpoint_of(record: Record) -> str:
    """The weights as the command that made the record named them; empty: the model's own."""
    words = record.environment.command
    given = [after for word, after in pairwise(words) if word == "--checkpoint"]
    given += [word.partition("=")[2] for word in words if word.startswith("--checkpoint=")]
    if len(given) == 1:
        return given[0]
    return record.checkpoint if given or record.weight_kind in ("given", "converted") else ""
