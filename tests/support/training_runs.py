"""Training runs within a test's own process, and what they begin with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from genbench.models.optional import TrainRun
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter


def silent_run(config: Path, out: Path) -> TrainRun:
    """A run of one process on the CPU, of no data set."""
    return TrainRun(
        config=config, data="", out=out, world=World(), device=torch.device("cpu"),
        reporter=SilentReporter(),
    )  # fmt: skip


def left_by_a_follower(train: Callable[[TrainRun], Path], config: Path, out: Path) -> list[Path]:
    """The files of a run of a process that does not lead, which names the weights all the same."""
    out.mkdir()
    run = dataclasses.replace(silent_run(config, out), data="bundled[:50]", world=World(rank=1))
    assert train(run) == out / "model.safetensors"
    return list(out.iterdir())


def holds_weights_of(folder: Path, networks: Mapping[str, nn.Module]) -> bool:
    """Whether every network, by the name of its file, has exactly the tensors written there."""
    for name, network in networks.items():
        kept, state = load_file(folder / f"{name}.safetensors"), network.state_dict()
        if state.keys() != kept.keys():
            return False
        if not all(torch.equal(kept[key].float(), state[key]) for key in kept):
            return False
    return True
