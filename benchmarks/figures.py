"""Draw the README's figures of the diffusion models from records.

    python benchmarks/figures.py --records results/records.jsonl

docs/adm-guidance.svg: precision against recall over the classifier scale. docs/nfe.svg: the
distance against counted network evaluations, ADM at several steps and EMD at one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from genbench.records.kinds import Record
from genbench.records.store import read_records
from genbench.report.curves import evaluation_plots, sweeps
from genbench.report.plots import draw_evaluations, draw_sweeps
from genbench.runtime.files import replacing

DOCS = Path(__file__).parent.parent / "docs"


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(path)


def _guided(record: Record) -> bool:
    """At the usual number of steps: what changes over these is the scale alone."""
    return record.model == "adm-guided" and record.options.get("steps") == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, action="append", required=True)
    records = [record for path in parser.parse_args().records for record in read_records(path)]
    scales = [curve for curve in sweeps(list(filter(_guided, records))) if len(curve.settings) > 2]
    if scales:
        _write(DOCS / "adm-guidance.svg", draw_sweeps(scales))
    models = ("adm-guided", "emd")
    plots = evaluation_plots([record for record in records if record.model in models])
    if plots:
        fullest = max(plots, key=lambda plot: len(plot.points))
        _write(DOCS / "nfe.svg", draw_evaluations(fullest))


if __name__ == "__main__":
    main()
