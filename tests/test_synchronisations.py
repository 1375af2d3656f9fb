"""The counter of waits that the samplers' tests rely on sees what it must and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from synchronisations import GPU, synchronisations
from torch import Tensor


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        (lambda x: bool(torch.isfinite(x).all()), 1),
        (lambda x: float(x[0]), 1),
        (lambda x: torch.tensor([1.0, 2.0], device=GPU), 1),
        (lambda x: torch.as_tensor(1.0, device=GPU), 1),
        (lambda x: torch.arange(3).to(GPU), 1),
        (lambda x: x.copy_(torch.ones(3)), 1),
        (lambda x: x[torch.tensor([0, 1])], 1),
        (lambda x: torch.ones(3).to(GPU, non_blocking=True), 0),
        (lambda x: (x[0] + 1, x + torch.tensor(2.0), torch.arange(3, device=GPU), x.half()), 0),
        (lambda x: torch.as_tensor(x, device=GPU), 0),
        (lambda x: float(torch.ones(3).sum()), 0),
    ],
)
def test_waits_are_counted(run: Callable[[Tensor], object], waits: int) -> None:
    x = torch.zeros(3, device=GPU)
    with synchronisations() as found:
        run(x)
    assert len(found) == waits, found


def test_what_cannot_be_counted_is_refused() -> None:
    x = torch.zeros(3, device=GPU)
    for run in (Tensor.cpu, Tensor.nonzero):
        with pytest.raises(NotImplementedError), synchronisations():
            run(x)
