"""What the families' training recipes share: data, averages, the loop, its checkpoints and log.

Every random number of a step is a function of (seed, step, place in the batch), and the whole
state is in the checkpoint, so a killed run goes on as if nothing had happened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from genbench.errors import GenbenchError, UsageError
from genbench.images.opening import open_image_set
from genbench.images.png_writing import save_grid
from genbench.images.sets import ImageSet
from genbench.models.noise import NoiseStream
from genbench.models.optional import RecipeRun, TrainRun
from genbench.runtime.files import replacing
from genbench.weights.loading import load_checkpoint, load_state_strictly, load_tensors
from genbench_adapters.single_file import write_model

_IN_MEMORY = 4 << 30  # bytes of images that are read once and kept
_GRID = 100  # images of a preview

Network = TypeVar("Network", bound=nn.Module)


class Training(Protocol):
    """A recipe at work: what the loop asks of it."""

    def parts(self) -> Mapping[str, Any]:
        """Everything with state_dict and load_state_dict that a resumed run needs, by name."""
        ...

    def step(self, number: int) -> Mapping[str, float]:
        """Do step `number` (0, 1, ...) and return its losses by name."""
        ...

    def preview(self) -> Tensor:
        """Sample images uint8 [N, 3, R, R] of the weights that would be kept now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long a run goes on and how often it writes. `steps` counts generator updates."""

    steps: int
    save_every: int = 500
    log_every: int = 10
    preview_every: int = 1000


class TrainingImages:
    """An image set from which batches are drawn by (seed, step); labels are 0 where it has none."""

    def __init__(self, images: ImageSet, device: torch.device, *, labelled: bool = True) -> None:
        if images.labels is None and labelled:
            raise UsageError(
                f"{images.name} has no labels and this recipe is class-conditional: put the images "
                "into one folder a class, or add arr_1 to the .npz"
            )
        self.images, self.device = images, device
        labels = np.zeros(len(images), np.int64) if images.labels is None else images.labels
        self.labels = torch.from_numpy(labels).to(device)
        small = len(images) * 3 * images.size[0] * images.size[1] <= _IN_MEMORY
        self._kept = images.read(0, len(images)).to(device) if small else None

    @classmethod
    def open(cls, run: TrainRun, resolution: int, *, labelled: bool = True) -> TrainingImages:
        """The image set a run names, at its resolution. Raises UsageError when it must be labelled
        and is not."""
        images = open_image_set(run.data, crop=run.crop, resolution=resolution)
        return cls(images, run.device, labelled=labelled)

    def batch(self, noise: NoiseStream, *, step: int = 0) -> tuple[Tensor, Tensor]:
        """Images float [N, 3, R, R] in [-1, 1] and labels int64 [N], one a row of `noise`."""
        rows = noise.integers(len(self.images), step=step)
        if self._kept is None:
            read = [self.images.read(row, row + 1) for row in rows.tolist()]
            pictures = torch.cat(read).to(self.device)
        else:
            pictures = self._kept[rows]
        return pictures.float() / 127.5 - 1, self.labels[rows]


def step_noise(run: RecipeRun, step: int, batch: int, *, purpose: int = 0) -> NoiseStream:
    """The noise of this process's part of the batch of one step.

    batch: images of one step over all processes. purpose: 0 … 7, for draws that must not be alike.
    Raises UsageError when the processes cannot share the batch evenly.
    """
    if batch % run.world.size:
        raise UsageError(f"batch {batch} cannot be shared by {run.world.size} processes evenly")
    share = batch // run.world.size
    first = (step * 8 + purpose) * batch + run.world.rank * share
    return NoiseStream(run.seed, torch.arange(first, first + share), run.device)


class Ema(Generic[Network]):
    """An exponential moving average of a module's parameters; buffers are copied."""

    def __init__(self, averaged: Network, decay: float, start: int = 0) -> None:
        self.averaged, self.decay, self.start = averaged, decay, start

    @torch.no_grad()
    def update(self, module: Network, step: int) -> None:
        """Move the average towards `module`; before step `start` it is a copy."""
        weight = 1 - self.decay if step >= self.start else 1.0
        pairs = zip(self.averaged.parameters(), module.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value, weight)
        for kept, now in zip(self.averaged.buffers(), module.buffers(), strict=True):
            kept.copy_(now)


def average_gradients(parameters: Iterable[nn.Parameter], run: RecipeRun) -> None:
    """Replace every gradient by its mean over the processes of the run."""
    if run.world.size == 1:
        return
    gradients = [item.grad for item in parameters if item.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    run.world.average(flat)
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def descend(
    loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, run: RecipeRun
) -> None:
    """One optimiser step of `network` against a loss, with the processes' mean gradients."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(network.parameters(), run)
    optimiser.step()


def autocast(run: RecipeRun, precision: str) -> torch.autocast:
    """A recipe's precision ("float32" or "bfloat16"), for forward passes; gradients follow it by
    themselves."""
    return torch.autocast(run.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def write_beside(folder: Path, **networks: nn.Module) -> None:
    """Write the networks that helped a generator to learn (float16) beside it, by their names, so
    that a later run can begin with all: a discriminator that must first learn to judge a good
    generator is no help to it for long."""
    for name, network in networks.items():
        state = {key: value.half() for key, value in network.state_dict().items()}
        write_model(folder / f"{name}.safetensors", state, {}, kind="trained-here")


def begin_with(folder: Path, **networks: nn.Module) -> None:
    """Give networks the weights that a finished run left in a folder, by their names; the
    generator is `model`.

    Raises GenbenchError when a file is missing, damaged or of another network.
    """
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        load_state_strictly(network, load_tensors(path), what=f"the initial network {path}")


def train(training: Training, run: RecipeRun, pace: Pace, identity: Mapping[str, Any]) -> None:
    """Run or resume the loop in `run.out`: state.pt, log.jsonl and preview-*.png.

    identity: what must be the same for a run to be resumed. Raises GenbenchError when the folder
    holds another run and when a loss is no longer finite.
    """
    state, log = run.out / "state.pt", run.out / "log.jsonl"
    done = _resume(training, state, identity)
    if done > pace.steps:
        raise UsageError(
            f"{run.out} holds a run of {done} steps already, more than {pace.steps}: pass --steps "
            f"{done} or more, or another --out"
        )
    lines = _kept_lines(log, done)
    if run.world.leads and done:
        run.reporter.note(f"resuming {run.out} at step {done} of {pace.steps}")
    with run.reporter.task("training", pace.steps) as advance:
        advance(done)
        for number in range(done, pace.steps):
            losses = training.step(number)
            wrong = [name for name, value in losses.items() if not abs(value) < float("inf")]
            if wrong:
                raise GenbenchError(
                    f"step {number}: {', '.join(wrong)} is no longer finite; the last good state "
                    f"is in {state}: lower the learning rate"
                )
            advance(1)
            finished = number + 1
            if run.world.leads and finished % pace.log_every == 0:
                lines.append(json.dumps({"step": finished, **losses}))
            if not run.world.leads:
                continue
            if finished % pace.preview_every == 0 or finished == pace.steps:
                save_grid(run.out / f"preview-{finished:07d}.png", training.preview()[:_GRID])
            if finished % pace.save_every == 0 or finished == pace.steps:
                _save(training, state, finished, identity)
                _write_lines(log, lines)
                last = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                run.reporter.note(f"step {finished}: {last}")
    run.world.barrier()


def _resume(training: Training, path: Path, identity: Mapping[str, Any]) -> int:
    if not path.exists():
        return 0
    held = load_checkpoint(path)
    if not isinstance(held, dict) or set(held) != {"step", "identity", "parts"}:
        raise UsageError(f"{path} is not the state of a training run: pass another --out")
    if held["identity"] != json.dumps(identity, sort_keys=True):
        raise UsageError(
            f"{path.parent} holds a run with other settings: pass another --out, or delete it"
        )
    for name, part in training.parts().items():
        part.load_state_dict(held["parts"][name])
    return int(held["step"])


def _save(training: Training, path: Path, step: int, identity: Mapping[str, Any]) -> None:
    parts = {name: part.state_dict() for name, part in training.parts().items()}
    held = {"step": step, "identity": json.dumps(identity, sort_keys=True), "parts": parts}
    # Through an open file, so that a full disk is an OSError and not torch's own.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(held, file)


def _kept_lines(path: Path, step: int) -> list[str]:
    """The lines of the log up to a step: what came after it will be done again."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]


def _write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(line + os.linesep for line in lines))
