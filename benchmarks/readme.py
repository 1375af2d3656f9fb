"""Put the bundled table and its scatter into README.md; `make readme` calls it.

    python benchmarks/readme.py --records results/records.jsonl   # take these records, then write
    python benchmarks/readme.py                                   # write from the records kept

The records the two show are kept in docs/bundled-records.jsonl, so that anybody can make the block
again; tests/test_readme.py fails when README.md is not what they give.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.records.protocols import load_protocols
from genbench.records.store import read_records
from genbench.report.curves import SpeedPlot, speed_plots
from genbench.report.plots import draw_speed
from genbench.runtime.files import replacing
from genbench.tables.build import build_table
from genbench.tables.cells import Table
from genbench.tables.published import load_published
from genbench.tables.specs import load_spec
from genbench.tables.text_formats import table_to_markdown

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
KEPT = ROOT / "docs" / "bundled-records.jsonl"
SCATTER = ROOT / "docs" / "bundled-speed.svg"
BEGIN = "<!-- bundled table: written by `make readme`, do not edit -->"
END = "<!-- end of the bundled table -->"


def bundled(records: Sequence[Record]) -> Table:
    """The table "four systems, one protocol"."""
    return build_table(load_spec("bundled"), load_published(), records, load_protocols())


def shown(table: Table) -> list[Record]:
    """The records behind the cells of a table, each once, in its order."""
    found = [cell.measured for row in table.rows for cell in row.cells]
    return list({to_line(record): record for record in found if record is not None}.values())


def portable(record: Record) -> Record:
    """A record whose command names files of this machine by their last part alone."""
    command = [
        Path(word).name if Path(word).is_absolute() else word for word in record.environment.command
    ]
    return replace(record, environment=replace(record.environment, command=tuple(command)))


def scatter(records: Sequence[Record]) -> SpeedPlot | None:
    """Quality against speed of the table's models; None before any speed was measured."""
    plots = speed_plots(shown(bundled(records)))
    return max(plots, key=lambda plot: len(plot.points), default=None)


def block(records: Sequence[Record]) -> str:
    """What stands between the two marks in README.md."""
    text = table_to_markdown(bundled(records))
    plot = scatter(records)
    if plot is not None:
        names = ", ".join(point.model for point in plot.points if point.on_front)
        text += (
            f"\n![{plot.metric.upper()} against images per second on {plot.device}; on the Pareto "
            f"front: {names}]({SCATTER.relative_to(ROOT)})\n"
        )
    return f"{BEGIN}\n{text}{END}"


def with_block(readme: str, new: str) -> str:
    """README.md with the block replaced."""
    before, rest = readme.split(BEGIN)
    return before + new + rest.split(END)[1]


def main() -> None:
    """Write the records, the block and the scatter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, action="append", default=[])
    given = [record for path in parser.parse_args().records for record in read_records(path)]
    records = shown(bundled(given)) or read_records(KEPT)
    plot = scatter(records)
    texts = {
        KEPT: "".join(f"{to_line(portable(record))}\n" for record in records),
        README: with_block(README.read_text(encoding="utf-8"), block(records)),
        **({SCATTER: draw_speed(plot)} if plot is not None else {}),
    }
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(f"{len(records)} records, {len(texts)} files written")


if __name__ == "__main__":
    main()
