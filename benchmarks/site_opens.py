"""How fast a site of many records is written, and how fast its pages open in a browser.

    python benchmarks/site_opens.py --records 10000

Needs Chromium. Times are of this machine; a page counts as open when its load event has ended. Each
page is opened several times in a row from its file; the first of a browser just started and the
median of the others are printed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from browser import BROWSER, browser
from made_records import made, speed

from genbench.records.kinds import Record
from genbench.records.measurement import Environment
from genbench.site.folder import write_folder
from genbench.site.pages import Site

MODELS, TIMES = 20, 7
USUAL = {"fd": 90.0, "kd": 0.1, "cs": 9.0, "precision": 0.7, "recall": 0.5, "density": 0.8,
         "coverage": 0.6}  # fmt: skip
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def made_up(number: int) -> Iterator[Record]:
    """At least so many records: runs of seven figures each, of models with options, seeds, weights
    and versions of genbench; a speed of each model and option."""
    draw = random.Random(0)
    for run in range(-(-number // len(USUAL))):
        model = f"model{run % MODELS}"
        shared: dict[str, Any] = {
            "card": f"{model}-32", "seed": run // MODELS % 12, "run": f"{run:012x}",
            "options": {"truncation": (0.5, 1.0)[run // MODELS % 2]},
            "checkpoint": f"weights-{run % 7}.safetensors", "checkpoint_digest": f"{run % 7:064x}",
            "created": f"2026-{1 + run // 28 % 12:02}-{1 + run % 28:02}T12:00:00+00:00",
            "environment": Environment(genbench=f"0.{1 + run // 300}.0", device="a CPU"),
        }  # fmt: skip
        for metric, usual in USUAL.items():
            value = usual * (1 + run % MODELS / 10 + draw.random() / 10)
            against: dict[str, Any] = {"reference": "bundled", "reference_digest": "r"}
            if metric == "cs":
                against = {}
            yield made(model, metric, value, low=value * 0.97, high=value * 1.03,
                       samples_digest=str(run), **against, **shared)  # fmt: skip
        if run < 2 * MODELS:
            yield speed(model, draw.uniform(10, 1000), batch=64, **shared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    wanted = parser.parse_args().records
    if BROWSER is None:
        sys.exit("there is no Chromium on this machine")
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "site"
        found = sorted(made_up(wanted), key=lambda record: record.created)
        start = time.perf_counter()
        files = write_folder(out, Site(records=found).files())
        seconds = time.perf_counter() - start
        print(f"{len(found):,} records: {files:,} files in {seconds:.1f} s")
        largest = max(
            out.glob("tables/*.html"), key=lambda path: path.with_suffix(".js").stat().st_size
        )
        pages = [out / "index.html", out / "runs.html", largest, out / "models" / "model0.html",
                 next(out.glob("runs/*.html"))]  # fmt: skip
        for page in pages:
            with browser(Path(tempfile.mkdtemp(dir=temporary))) as shown:
                times = []
                for _ in range(TIMES):
                    shown.show(page, 1280)
                    times.append(float(shown.run(OPENED)))
            first, later = times[0], statistics.median(times[1:])
            size = page.stat().st_size / 1024
            name = page.relative_to(out)
            print(f"{name}: first {first:.0f} ms, then {later:.0f} ms ({size:.0f} KiB)")


if __name__ == "__main__":
    main()
