"""What a user's code may change for itself, and not for the rest of the run."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import torch

_defaults_of: dict[Hashable, tuple[torch.device, torch.dtype]] = {}


@contextmanager
def kept_apart(owner: Hashable, *, anew: bool = False) -> Iterator[None]:
    """Runs a user's code: what it prints goes to stderr, gradients may be turned on, and torch's
    defaults are those that code of the same owner left, outside what they were. A process that it
    forks ends here. anew: the owner's code is run from its beginning."""
    process, outside = os.getpid(), _defaults()
    if anew:
        _defaults_of.pop(owner, None)
    _set_defaults(*_defaults_of.get(owner, outside))
    try:
        with redirect_stdout(sys.stderr), torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        if os.getpid() != process:  # else it would go on as a second run
            os._exit(0)
        _defaults_of[owner] = _defaults()
        _set_defaults(*outside)


def _defaults() -> tuple[torch.device, torch.dtype]:
    return torch.get_default_device(), torch.get_default_dtype()


def _set_defaults(device: torch.device, dtype: torch.dtype) -> None:
    if device != torch.get_default_device():
        torch.set_default_device(None if device.type == "cpu" else device)
    torch.set_default_dtype(dtype)


class Randomness:
    """The generators of torch, numpy and Python that all code shares: a user's code has them as if
    it alone drew from them, begun from a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state: tuple[Any, ...] = ()

    @contextmanager
    def current(self) -> Iterator[None]:
        """As they were when this last ended; outside nothing moves."""
        outside = _states()
        if self._state:
            _restore(*self._state)
        else:
            random.seed(self._seed)
            np.random.seed(self._seed % 2**32)
            torch.manual_seed(self._seed)
        try:
            yield
        finally:
            self._state = _states()
            _restore(*outside)


def _states() -> tuple[Any, ...]:
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), gpus


def _restore(python: Any, numpy: Any, cpu: torch.Tensor, gpus: list[torch.Tensor]) -> None:
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)
    if gpus:
        torch.cuda.set_rng_state_all(gpus)
