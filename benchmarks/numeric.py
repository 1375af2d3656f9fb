"""Time and memory of the numeric stage beside torch-fidelity's, as ratios measured in one run.

python benchmarks/numeric.py [fid|prc|all] [--n 10000] [--dim 2048] [--full]

Calls are interleaved (ours, theirs, ours, theirs) and the best of each is compared; --full adds
our precision and recall at 50,000 x 50,000. Memory is the peak of a process of its own above its
inputs (Linux only).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from genbench.metrics.frechet import frechet_distance
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.precision_recall import neighbour_figures

Call = Callable[[], tuple[float, ...]]


def features(count: int, width: int, seed: int) -> Tensor:
    """Rectified mixtures of 64 hidden factors and noise, float32 [count, width]."""
    mixing = torch.randn(64, width, generator=torch.Generator().manual_seed(0)) / 8
    generator = torch.Generator().manual_seed(seed)
    found = torch.empty(count, width)
    for start in range(0, count, 1000):
        part = found[start : start + 1000]
        hidden = torch.randn(len(part), 64, generator=generator) * (1 + seed / 20)
        noise = torch.randn(len(part), width, generator=generator)
        part.copy_(torch.relu(torch.mm(hidden, mixing) + 0.3 * noise + 0.5))
    return found


def frechet_calls(count: int, width: int) -> dict[str, Call]:
    """Ours, torch-fidelity's and scipy's formula on the same moments."""
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    first, second = (_moments(features(count, width, seed)) for seed in (1, 2))
    one, two = (
        {"mu": side.mean.numpy(), "sigma": side.covariance().numpy()} for side in (first, second)
    )

    def by_scipy() -> tuple[float, ...]:
        offset = one["mu"] - two["mu"]
        traces = float(one["sigma"].trace() + two["sigma"].trace())
        return (float(offset @ offset) + traces - 2 * sqrtm(one["sigma"] @ two["sigma"]).trace(),)

    return {
        "ours": lambda: (frechet_distance(first, second),),
        "torch-fidelity": lambda: tuple(fid_statistics_to_metric(one, two, False).values()),
        "scipy sqrtm": by_scipy,
    }


def neighbour_calls(count: int, width: int) -> dict[str, Call]:
    """Ours (four figures) and torch-fidelity's (two of them) on the same features."""
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    samples, reference = features(count, width, 1), features(count, width, 2)

    def ours() -> tuple[float, ...]:
        figures = neighbour_figures(samples, reference)
        return figures.precision.value, figures.recall.value

    return {
        "ours": ours,
        "torch-fidelity": lambda: calculate_precision_recall_full(samples, reference, 3, 10_000),
    }


CALLS = {"fid": frechet_calls, "prc": neighbour_calls}


def compare(stage: str, count: int, width: int, *, rounds: int) -> None:
    """Print best times and values of all calls of a stage, interleaved, and their ratio."""
    calls = CALLS[stage](count, width)
    best = dict.fromkeys(calls, float("inf"))
    values: dict[str, tuple[float, ...]] = {}
    for number in range(rounds):
        for name, call in calls.items():
            if name == "scipy sqrtm" and number:
                continue  # once is enough to compare values
            start = time.perf_counter()
            values[name] = call()
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"{stage}  n {count}  width {width}  best of {rounds}")
    for name in calls:
        shown = "  ".join(f"{value:.12g}" for value in values[name])
        print(
            f"  {name:<15}{best[name]:9.2f} s   {best[name] / best['ours']:5.2f} x ours   {shown}"
        )


def report_memory(stage: str, name: str, count: int, width: int) -> None:
    """Print the peak memory of one call, measured in a process of its own."""
    command = [sys.executable, __file__, stage, "--n", str(count), "--dim", str(width)]
    result = subprocess.run([*command, "--measure", name], check=True, text=True, stdout=-1)
    print(f"  {name:<15}{result.stdout.strip()}", flush=True)


def measure(stage: str, name: str, count: int, width: int) -> None:
    """One call; how far the peak of this process rose above its inputs, in GiB, and its time."""
    call = CALLS[stage](count, width)[name]
    Path("/proc/self/clear_refs").write_text("5")  # making the inputs had a peak too: forget it
    before = _peak()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    print(f"{(_peak() - before) / 2**20:9.2f} GiB above its inputs   ({seconds:.1f} s)")


def _peak() -> int:
    """Peak resident memory in KiB. Not getrusage's, which starts at the parent's peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def _moments(rows: Tensor) -> Moments:
    return stream_moments([rows], [len(rows)])[len(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Numeric stage beside torch-fidelity's.")
    parser.add_argument("stage", nargs="?", default="all", choices=("fid", "prc", "all"))
    parser.add_argument("--n", type=int, default=10_000, help="rows of each set")
    parser.add_argument("--dim", type=int, default=2048, help="width of the features")
    parser.add_argument("--rounds", type=int, default=2, help="calls of each")
    parser.add_argument("--full", action="store_true", help="also ours at 50,000 x 50,000")
    parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.stage, options.measure, options.n, options.dim)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for stage in ("fid", "prc") if options.stage == "all" else (options.stage,):
        compare(stage, options.n, options.dim, rounds=options.rounds)
        for name in ("ours", "torch-fidelity"):
            report_memory(stage, name, options.n, options.dim)
        if stage == "prc" and options.full:
            report_memory(stage, "ours", 50_000, options.dim)


if __name__ == "__main__":
    main()
