"""The contract tests of an adapter, for its author: `genbench check MODEL`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter
from genbench.models.naming import family_named, opened_by
from genbench.models.opening import ModelRequest, open_model, resolve
from genbench.models.optional import InOrder, MakesCard
from genbench.models.optional_checks import offered, optional_rules
from genbench.models.options import RESERVED, adapter_options
from genbench.models.source import ModelSource

_COUNT = 6
_LATE = 501  # a sample of another shard, and of no block's beginning


@dataclass(frozen=True)
class CheckResult:
    """One rule of the contract and what became of it."""

    rule: str
    passed: bool
    message: str = ""


def check_adapter(request: ModelRequest, device: torch.device) -> Iterator[CheckResult]:
    """Run every rule over one variant, one result at a time; later rules need the earlier ones.

    Of a model that an opener makes a family of, what is asked of families alone is told where it
    is broken: who wrote a function has met neither dataclasses nor optional contracts.
    """
    opened = bool(opened_by(request.name)[0])
    begin = "can be opened" if opened else "imports, is a dataclass, has cards and load"
    try:
        adapter = family_named(request.name)
    except UsageError:
        raise
    except GenbenchError as error:
        yield CheckResult(begin, False, str(error))
        return
    yield CheckResult(begin, True)
    options = _result("options have a type, a default and a help text", lambda: _options(adapter))
    if not (opened and options.passed):
        yield options
    if not issubclass(adapter, MakesCard):
        yield _result("cards say resolution, classes and licence", lambda: _cards(adapter))
    before = _settings()
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
        ("nor does what was drawn before", lambda: _order(source)),
        ("another seed gives other images", lambda: _seeds(source, whole)),
        ("samples of one batch differ", lambda: _distinct(whole)),
        ("global random state is neither read nor written", lambda: _random_state(source, whole)),
        ("inputs are left as they were", lambda: _inputs(source)),
        ("torch is left as it was", lambda: _changed(before)),
    ]
    for rule, check in rules:
        yield _result(rule, check)
    if not opened:
        told = ", ".join(offered(model.adapter, source.generator)) or "nothing further"
        yield CheckResult("offers beyond sampling", True, told)
    for rule, check in optional_rules(model, source):
        result = _result(rule, check)
        if not (opened and result.passed):
            yield result


def _result(rule: str, check: Callable[[], str]) -> CheckResult:
    try:
        problem = check()
    except GenbenchError as error:
        problem = str(error)
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises
        problem = f"{type(error).__name__}: {error}"
    return CheckResult(rule, not problem, problem)


def _options(adapter: type[Adapter]) -> str:
    silent = [option.name for option in adapter_options(adapter).values() if not option.help]
    if silent:
        return f"give {', '.join(silent)} a help text: field(default=…, metadata={{'help': '…'}})"
    if taken := [name for name in adapter_options(adapter) if name in RESERVED]:
        return f"{', '.join(taken)}: the command line has an option of that name; choose another"
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


def _draw(source: ModelSource, start: int, stop: int, block: int) -> Tensor:
    return torch.cat(list(source.asked_otherwise(block=block).images(start, stop)))


def _repeats(source: ModelSource, whole: Tensor) -> str:
    if torch.equal(_draw(source, 0, _COUNT, _COUNT), whole):
        return ""
    return "two calls with the same noise differ: draw every random number from `noise`"


def _batches(source: ModelSource, whole: Tensor) -> str:
    worst = max(_apart(_draw(source, 0, _COUNT, size), whole) for size in (1, 4, _COUNT + 3))
    # Kernels may round differently for another batch size: one grey level, not more.
    if worst <= 1:
        return ""
    own = "; or --one-by-one true" if "one_by_one" in source.spec.options else ""
    return (
        f"up to {worst} grey levels apart: a sample depends on its batch: bring the network into "
        "eval mode (batch norm), take statistics of a sample's own pixels alone and random numbers "
        f"from `noise` alone{own}"
    )


def _apart(one: Tensor, other: Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


def _order(source: ModelSource) -> str:
    """Late samples first, then early ones, then the late ones again."""
    late = _draw(source, _LATE, _LATE + _COUNT, _COUNT)
    _draw(source, 0, _COUNT, _COUNT)
    if _apart(_draw(source, _LATE, _LATE + _COUNT, _COUNT), late) > 1:
        return "a sample changes with those drawn before it: take random numbers from `noise` alone"
    return "" if not _distinct(late) else f"samples {_LATE} and on are all the same image"


def _seeds(source: ModelSource, whole: Tensor) -> str:
    other = source.asked_otherwise(seed=source.spec.seed + 1)
    if not torch.equal(_draw(other, 0, _COUNT, _COUNT), whole):
        return ""
    if isinstance(source.generator, InOrder):
        return "the images of two seeds are equal: take a parameter `seed` and use it"
    return "the images of two seeds are equal: `noise` is not used"


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
    labels, noise = source.labels(0, _COUNT), source.noise(0, _COUNT)
    kept = None if labels is None else labels.clone()
    with torch.inference_mode():
        source.generator.sample(labels, noise)
    if not torch.equal(noise.indices.cpu(), torch.arange(_COUNT)):
        return "sample() writes into noise.indices: leave them alone"
    if labels is not None and kept is not None and not torch.equal(labels, kept):
        return "sample() writes into its labels: copy them first"
    return ""


def _changed(before: Mapping[str, Any]) -> str:
    """Which of the process's settings loading and sampling have changed; they are put back."""
    after = _settings()
    torch.set_default_dtype(before["default dtype"])
    torch.set_num_threads(before["number of threads"])
    torch.use_deterministic_algorithms(before["deterministic algorithms"])
    torch.set_grad_enabled(before["gradients"])
    changed = [name for name, value in before.items() if after[name] != value]
    return (
        f"loading or sampling changes torch's {', '.join(changed)}: put them back"
        if changed
        else ""
    )


def _settings() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
    }
