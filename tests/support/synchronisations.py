"""What would make the host wait for a GPU, counted without one: on the meta device.

A tensor on "meta" stands for one on a GPU. Operations on it do nothing; reading a number of it, or
a copy between it and the host, is what would wait, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("meta")  # what a test calls the device

_AWAITED = {"_local_scalar_dense", "equal", "is_nonzero"}  # the host waits for their answer
_NUMBERS_OF_PYTHON = {torch.tensor, torch.as_tensor}


class _Operations(TorchDispatchMode):
    """Waits among the operations that reach a device."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, options = func._schema.name.removeprefix("aten::"), dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, options)) if isinstance(leaf, Tensor)]
        if name in _AWAITED and any(tensor.device == GPU for tensor in given):
            self.found.append(name)
            if name == "_local_scalar_dense":  # which the meta device refuses
                return torch.ones((), dtype=given[0].dtype).item()
        made = func(*args, **options)
        # A number of the host's, without dimensions, is an argument of a kernel: no copy.
        places = {tensor.device for tensor in given if tensor.dim() or "copy" in name}
        places |= {leaf.device for leaf in tree_leaves(made) if isinstance(leaf, Tensor)}
        waits = not (
            options.get("non_blocking", False) or (name == "copy_" and args[2:] == (True,))
        )
        if GPU in places and len(places) > 1 and waits:
            self.found.append(f"{name} between the host and the device")
        return made


class _Factories(TorchFunctionMode):
    """Waits for numbers of Python that become a tensor there, which no operation shows."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        from_python = func in _NUMBERS_OF_PYTHON and not isinstance(args[0], Tensor)
        if from_python and made.device == GPU:
            self.found.append(f"{func.__name__} between the host and the device")
        return made


@contextmanager
def synchronisations() -> Iterator[list[str]]:
    """A list that names, in order, every wait of the host within the context, one entry each.

    What is run must lie on `GPU`. Counted: a number read (it is 1 or True) and a copy from the host
    that is not `non_blocking`. A copy to the host, and a shape that depends on values, the meta
    device refuses itself: NotImplementedError.
    """
    found: list[str] = []
    with _Factories(found), _Operations(found):
        yield found
