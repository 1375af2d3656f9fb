"""The whole quality job, cold: 10,000 bundled images against 10,000, offline detector.

python benchmarks/quality.py [N]     prints the seconds of features and figures; aim: two minutes
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch

from genbench.models.opening import ModelRequest, resolve
from genbench.quality.evaluation import evaluate
from genbench.quality.request import QualityRequest
from genbench.records.protocols import find_protocol
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as cache:
        request = QualityRequest(
            protocol=find_protocol("bundled"),
            model=resolve(ModelRequest(name="toy", resolution=32)),
            reference=f"bundled[:{count}]",
            counts=(count,),
            cache=Path(cache),
        )
        spent = []
        for label in ("cold: features of both sets and all figures", "again: figures alone"):
            start = time.perf_counter()
            found = evaluate(
                request, world=World(), device=torch.device("cpu"), reporter=SilentReporter()
            )
            spent.append(time.perf_counter() - start)
            print(f"{label}: {spent[-1]:.1f} s")
        images = 2 * count / (spent[0] - spent[1])
        print(f"features: {images:.0f} images/s on {torch.get_num_threads()} threads")
        for measurement in found:
            print(f"  {measurement.metric} {measurement.value:.6g}")


if __name__ == "__main__":
    main()
