"""Forms of one network timed in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from torch import Tensor

Form = Callable[[], Tensor]


def arguments() -> tuple[int, int]:
    """Batch size and rounds from the command line: [BATCH] [ROUNDS]."""
    batch, rounds = (int(word) for word in (*sys.argv[1:], "4", "7")[:2])
    return batch, rounds


def best_device() -> tuple[torch.device, torch.dtype]:
    """The GPU and float16 where there is one, else the CPU and bfloat16."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.float16
    return torch.device("cpu"), torch.bfloat16


def compare(title: str, forms: Mapping[str, Form], batch: int, rounds: int) -> None:
    """Print milliseconds an image and the ratio to the first form, the plain one."""
    first = next(iter(forms))
    with torch.inference_mode():
        truth = forms[first]().float()
        scale = float(truth.abs().max())
        errors = {
            name: float((form().float() - truth).abs().max()) / scale
            for name, form in forms.items()
        }
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, form in forms.items():
                times[name].append(_timed(form))
    print(f"{title}, batch {batch}, {truth.device}, {torch.get_num_threads()} threads")
    for name, taken in times.items():
        ratios = [plain / own for plain, own in zip(times[first], taken, strict=True)]
        print(
            f"{name:32} {median(taken) / batch * 1e3:7.1f} ms an image, {median(ratios):5.2f}x "
            f"({min(ratios):.2f} … {max(ratios):.2f}), largest error {errors[name]:.2g} of the "
            "largest value"
        )


def _timed(form: Form) -> float:
    start = time.perf_counter()
    out = form()
    if out.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
