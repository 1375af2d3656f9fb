"""Networks handed to torch.compile: whether it can be done here, and where it fell short."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Generator
from genbench.models.optional import Compilable
from genbench.runtime.native import compiler, has_compiler


def compile_networks(generator: Generator, model: str, device: torch.device) -> None:
    """Have torch.compile make a generator's networks; the next call of each shape pays for it.

    Raises UsageError for a generator that hands none over (`optional.Compilable`), GenbenchError
    where what torch.compile needs for the device is missing.
    """
    if not isinstance(generator, Compilable):
        raise UsageError(f"model {model} has nothing to compile: leave out --compile")
    if lacking := _lacking(device):
        raise GenbenchError(f"--compile needs {lacking} here: install it, or leave out --compile")
    generator.compile()


def _lacking(device: torch.device) -> str:
    """What torch.compile would stop at, minutes later; empty where nothing lacks."""
    if device.type == "cuda":
        return "" if find_spec("triton") else "the package triton"
    return "" if has_compiler() else f"a C++ compiler ({compiler()[0]})"


def forget_programs() -> None:
    """Have the networks that torch.compile makes made anew at their next calls: it keeps eight
    programs of a network, and runs it eagerly, without a word, for any shape beyond."""
    loaded = sys.modules.get("torch._dynamo")  # absent: nothing was compiled yet
    if loaded is not None:
        loaded.reset()


def graph_breaks() -> Counter[str]:
    """Where torch.compile has left its graphs for Python in this process so far: how often, by the
    first line of the reason. Two graphs in place of one cost time and no bit."""
    loaded = sys.modules.get("torch._dynamo.utils")  # absent: nothing was compiled yet
    found: Counter[str] = Counter()
    if loaded is not None:
        for reason, times in loaded.counters["graph_break"].items():
            found[str(reason).strip().splitlines()[0]] += times
    return found
