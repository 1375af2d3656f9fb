"""The contract tests of an adapter, for its author: `genbench check MODEL`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.models.contract import Adapter
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.optional_checks import offered, optional_rules
from genbench.models.options import adapter_options
from genbench.models.registry import find_adapter, load_adapter_class
from genbench.models.source import ModelSource

_COUNT = 6


@dataclass(frozen=True)
class CheckResult:
    """One rule of the contract and what became of it."""

    rule: str
    passed: bool
    message: str = ""


def check_adapter(request: ModelRequest, device: torch.device) -> Iterator[CheckResult]:
    """Run every rule over one variant, one result at a time; later rules need the earlier ones."""
    entry = find_adapter(request.name)
    try:
        adapter = load_adapter_class(entry)
    except GenbenchError as error:
        yield CheckResult("imports, is a dataclass, has cards and load", False, str(error))
        return
    yield CheckResult("imports, is a dataclass, has cards and load", True)
    yield _result("options have a type, a default and a help text", lambda: _options(adapter))
    yield _result("cards say resolution, classes and licence", lambda: _cards(adapter))
    try:
        model = resolve(request)
        source = open_model(model, device)
        whole = _draw(source, 0, _COUNT, _COUNT)
    except GenbenchError as error:
        yield CheckResult("loads and samples uint8 [N, 3, H, W]", False, str(error))
        return
    yield CheckResult("loads and samples uint8 [N, 3, H, W]", True)
    rules: list[tuple[str, Callable[[], str]]] = [
        ("the same (seed, i) gives the same image", lambda: _repeats(source, whole)),
        ("the batch size changes no image", lambda: _batches(source, whole)),
        ("another seed gives other images", lambda: _seeds(source, whole)),
        ("samples of one batch differ", lambda: _distinct(whole)),
        ("global random state is neither read nor written", lambda: _random_state(source, whole)),
        ("inputs are left as they were", lambda: _inputs(source)),
    ]
    for rule, check in rules:
        yield _result(rule, check)
    told = ", ".join(offered(model.adapter, source.generator)) or "nothing further"
    yield CheckResult("offers beyond sampling", True, told)
    for rule, check in optional_rules(model, source):
        yield _result(rule, check)


def _result(rule: str, check: Callable[[], str]) -> CheckResult:
    try:
        problem = check()
    except GenbenchError as error:
        problem = str(error)
    except Exception as error:  # whatever a stranger's code raises
        problem = f"{type(error).__name__}: {error}"
    return CheckResult(rule, not problem, problem)


def _options(adapter: type[Adapter]) -> str:
    silent = [option.name for option in adapter_options(adapter).values() if not option.help]
    if silent:
        return f"give {', '.join(silent)} a help text: field(default=…, metadata={{'help': '…'}})"
    return ""


def _cards(adapter: type[Adapter]) -> str:
    for card in adapter.cards:
        if card.resolution < 1:
            return f"card {card.name}: resolution {card.resolution} is not a number of pixels"
        if card.classes < 0:
            return f"card {card.name}: classes {card.classes} is negative (0 is unconditional)"
        if not card.license:
            return f"card {card.name}: say its license"
    return ""


def _draw(source: ModelSource, start: int, stop: int, batch_size: int) -> Tensor:
    asked = source.asked_otherwise(batch_size=batch_size)
    return torch.cat(list(asked.images(start, stop)))


def _repeats(source: ModelSource, whole: Tensor) -> str:
    if torch.equal(_draw(source, 0, _COUNT, _COUNT), whole):
        return ""
    return "two calls with the same noise differ: draw every random number from `noise`"


def _batches(source: ModelSource, whole: Tensor) -> str:
    worst = 0
    for size in (1, 4):
        difference = _draw(source, 0, _COUNT, size).int() - whole.int()
        worst = max(worst, int(difference.abs().max()))
    # Kernels may round differently for another batch size: one grey level, not more.
    if worst <= 1:
        return ""
    return f"up to {worst} grey levels apart: a sample depends on its batch (batch norm, order?)"


def _seeds(source: ModelSource, whole: Tensor) -> str:
    other = source.asked_otherwise(batch_size=_COUNT, seed=source.spec.seed + 1)
    same = torch.equal(torch.cat(list(other.images(0, _COUNT))), whole)
    return "the images of two seeds are equal: `noise` is not used" if same else ""


def _distinct(whole: Tensor) -> str:
    distinct = torch.unique(whole.flatten(1), dim=0).shape[0]
    return "" if distinct > 1 else f"all {_COUNT} samples are the same image"


def _random_state(source: ModelSource, whole: Tensor) -> str:
    torch.manual_seed(12345)
    np.random.seed(12345)
    before, numpy_before = torch.get_rng_state(), np.random.get_state(legacy=False)
    drawn = _draw(source, 0, _COUNT, _COUNT)
    if not torch.equal(torch.get_rng_state(), before):
        return "sample() draws from torch's global generator: use `noise`"
    if str(np.random.get_state(legacy=False)) != str(numpy_before):
        return "sample() draws from NumPy's global generator: use `noise`"
    return "" if torch.equal(drawn, whole) else "images change with torch.manual_seed: use `noise`"


def _inputs(source: ModelSource) -> str:
    labels = source.labels(0, _COUNT)
    if labels is None:
        return ""
    kept = labels.clone()
    source.sample_with(labels, 0, _COUNT)
    return "" if torch.equal(labels, kept) else "sample() writes into its labels: copy them first"
