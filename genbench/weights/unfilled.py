"""Networks built without their numbers, which a file will bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def unfilled() -> Iterator[None]:
    """Networks that are built meanwhile have names and shapes alone: no memory is taken (torch's
    meta device), no initial weights are drawn. `with_room` and a state dict make them whole."""
    with torch.device("meta"), _Shortcuts():
        yield


def with_room(network: Network) -> Network:
    """A network that was built `unfilled`, with memory on the CPU for its tensors, whatever is in
    it."""
    with _Shortcuts():
        return network.to_empty(device="cpu")


class _Shortcuts(TorchFunctionMode):
    """Keeps from the meta device what is Python code of torch's there, whose first call imports
    torch's compiler, two seconds of every start: nothing is drawn by torch.nn.init, and a tensor
    like one without numbers is made of its shape."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        named = kwargs or {}
        given = next(
            (value for value in (*args, *named.values()) if isinstance(value, Tensor)), None
        )
        if given is not None and given.is_meta:
            if getattr(function, "__module__", "") == torch.nn.init.__name__:
                return given
            if function is torch.empty_like and set(named) == {"device"}:
                return torch.empty(given.shape, dtype=given.dtype, **named)
        return function(*args, **named)
