"""Neighbour searches whose products another device makes: the counts are the CPU's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench.metrics import nearest, neighbour_search, screening
from genbench.metrics.nearest import nearest_in, nearest_other
from genbench.metrics.neighbour_search import Found, exact_verdicts
from genbench.metrics.screening import relative_error

GPU = torch.device("meta")  # never reached: `onto` is the test's


class Foreign(Tensor):
    """A tensor on another device, which no operation mixes with the CPU's."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        given = [*args, *(kwargs or {}).values()]
        given += [part for one in given if isinstance(one, tuple | list) for part in one]
        for one in given:
            if type(one) is Tensor and one.ndim:
                raise AssertionError(f"{func} mixes two devices")
        if func is Tensor.cpu:
            return args[0].as_subclass(Tensor)
        if func == Tensor.device.__get__:
            return GPU
        found = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        if isinstance(found, tuple) and isinstance(found[0], Tensor):  # torch leaves these alone
            return type(found)([part.as_subclass(cls) for part in found])
        return found


@pytest.fixture(autouse=True)
def other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds tensors apart, and rounds products otherwise: by half the bound."""
    noise = torch.Generator().manual_seed(3)

    def onto(values: Tensor, device: torch.device) -> Tensor:
        return values.as_subclass(Foreign) if device == GPU else values

    def rounded(left: Tensor, left_norms: Tensor, right: Tensor, right_norms: Tensor) -> Tensor:
        found = screening.products(left, left_norms, right, right_norms)
        if isinstance(left, Foreign):
            error = relative_error(left.shape[1]) * (left_norms[:, None] + right_norms)
            found += error * (torch.rand(found.shape, generator=noise) - 0.5).as_subclass(Foreign)
        return found

    monkeypatch.setattr(screening, "BLOCK", 64)
    monkeypatch.setattr(neighbour_search, "STRIP", 20)
    for module in (screening, nearest, neighbour_search):
        monkeypatch.setattr(module, "onto", onto)
    for module in (nearest, neighbour_search):
        monkeypatch.setattr(module, "products", rounded)


def _scattered(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.relu(torch.randn(count, 24, generator=generator) + 1)


def _gridded(count: int, seed: int) -> Tensor:
    """Whole numbers far off centre: distances by the dozen are equal, and many rims are met."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 4, (count, 5), generator=generator).float() + 1000


def _repeated(count: int, seed: int) -> Tensor:
    """One row fifteen times among others: more are equally near than are kept."""
    rows = _scattered(count, seed)
    rows[5 : 5 + 7 * 15 : 7] = rows[3]
    return rows


def _told(found: Found) -> list[Tensor]:
    verdicts, clipped = found.verdicts, found.clipped
    return [verdicts.precise, verdicts.recalled, verdicts.balls, verdicts.held, clipped.balls,
            clipped.own]  # fmt: skip


@pytest.mark.parametrize("make", [_scattered, _gridded, _repeated])
@pytest.mark.parametrize("strict", [False, True])
def test_verdicts_are_the_cpus(make: Callable[[int, int], Tensor], strict: bool) -> None:
    samples, reference = make(210, 1), make(170, 2)
    expected = exact_verdicts(samples, reference, (3, 5), strict=strict)
    found = exact_verdicts(samples, reference, (3, 5), strict=strict, device=GPU)
    for ours, theirs in zip(_told(found), _told(expected), strict=True):
        assert type(ours) is Tensor
        assert torch.equal(ours, theirs)
    assert 0 < int(expected.verdicts.precise.sum()) <= 210


@pytest.mark.parametrize("make", [_scattered, _gridded, _repeated])
def test_the_nearest_are_the_cpus(make: Callable[[int, int], Tensor]) -> None:
    samples, training = make(130, 1), make(120, 2)
    for found, expected in (
        (nearest_in(samples, training, device=GPU), nearest_in(samples, training)),
        (nearest_other(training, device=GPU), nearest_other(training)),
    ):
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_of_equally_near_rows_the_lowest_is_told() -> None:
    training = torch.ones(40, 3)
    training[:20] = torch.arange(20)[:, None] + 2.0
    distances, rows = nearest_in(torch.ones(7, 3), training, device=GPU)
    assert distances.tolist() == [0] * 7
    assert rows.tolist() == [20] * 7
    _, rows = nearest_other(training, device=GPU)
    assert rows[20:].tolist() == [21] + [20] * 19


def test_two_devices_are_not_mixed_unseen() -> None:
    """Of the fake itself: it refuses what CUDA refuses."""
    with pytest.raises(AssertionError, match="mixes two devices"):
        torch.ones(2).as_subclass(Foreign) + torch.ones(2)
