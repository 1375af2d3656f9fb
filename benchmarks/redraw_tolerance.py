"""How far features move when a sample is drawn in other last bits, beside another sample's.

    python benchmarks/redraw_tolerance.py hit emd biggan-deep

Each model draws 100 samples at 32 pixels as usual, in other blocks and in other arithmetic; what
`genbench verify` allows between devices lies between the two columns.
"""

from __future__ import annotations

import sys

import torch

import genbench
from genbench.detectors.registry import create_detector

COUNT = 100


def main() -> None:
    device = torch.device("cpu")
    detector = create_detector("efficientnet-lite0", layers=["pool"], device=device)
    print("| model | drawn | images that differ | features moved by | another sample: least |")
    print("|---|---|---|---|---|")
    for name in sys.argv[1:] or ["hit", "emd", "biggan-deep"]:
        usual = torch.cat(list(genbench.open_model(name, resolution=32).images(0, COUNT)))
        rows = detector(usual)["pool"].double()
        length = rows.norm(dim=1)
        between = torch.cdist(rows, rows).fill_diagonal_(float("inf")).min(dim=1).values / length
        for told, options in (("blocks of 10", {"block": 10}), ("bfloat16", {"dtype": "bfloat16"}),
                              ("float32", {"dtype": "float32"})):  # fmt: skip
            model = genbench.open_model(name, resolution=32, **options)
            other = torch.cat(list(model.images(0, COUNT)))
            differ = int((other != usual).flatten(1).any(dim=1).sum())
            moved = (detector(other)["pool"].double() - rows).norm(dim=1) / length
            print(
                f"| {name} | {told} | {differ} of {COUNT} | {float(moved.max()):.2g} | "
                f"{float(between.min()):.2g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
