"""What the families' training recipes share: data, averages, the loop, its checkpoints and log.

Every random number of a step is a function of (seed, step, place in the batch), and the whole
state is in the checkpoint, so a killed run goes on as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.png_writing import save_grid
from genbench.models.optional import RecipeRun
from genbench.runtime.files import replacing
from genbench.weights.loading import load_checkpoint
from genbench_adapters.training.recipes import Count

_GRID = 100  # images of a preview
_LOG_EVERY = 10  # steps


class Training(Protocol):
    """A recipe at work: what the loop asks of it."""

    def parts(self) -> Mapping[str, Any]:
        """Everything with state_dict and load_state_dict that a resumed run needs, by name."""
        ...

    def step(self, number: int) -> Mapping[str, float]:
        """Do step `number` (0, 1, ...) and return its losses by name."""
        ...

    def preview(self) -> Tensor:
        """Sample images uint8 [N, 3, R, R], on the CPU, of the weights that would be kept now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Paced:
    """Keys of a recipe: how long a run goes on and how often it writes. `steps` counts generator
    updates."""

    steps: Count
    save_every: Count = 500
    preview_every: Count = 1000

    @property
    def total(self) -> int:
        """Steps of the whole loop."""
        return self.steps

    def pinned(self) -> Mapping[str, Any]:
        """What must be the same for a run to be resumed: all but how long it goes on."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "steps"}


def run_training(training: Training, run: RecipeRun, recipe: Paced, **given: str) -> None:
    """Run or resume the loop in `run.out`: state.pt, log.jsonl and preview-*.png.

    given: digests of what the run learns from, by name; with recipe and seed they must be the same
    for a run to be resumed. Raises UsageError when the folder holds another run, GenbenchError when
    a loss is no longer finite.
    """
    identity = {"recipe": recipe.pinned(), "seed": run.seed, **given}
    state, log, steps = run.out / "state.pt", run.out / "log.jsonl", recipe.total
    done = _resume(training, state, identity)
    if done > steps:
        raise UsageError(
            f"{run.out} holds a run of {done} steps already, more than {steps}: pass --steps "
            f"{done} or more, or another --out"
        )
    lines = _kept_lines(log, done)
    if run.world.leads and done:
        run.reporter.note(f"resuming {run.out} at step {done} of {steps}")
    with run.reporter.task("training", steps) as advance, _Interruptible() as user:
        advance(done)
        for number in range(done, steps):
            losses = training.step(number)
            wrong = [name for name, value in losses.items() if not abs(value) < float("inf")]
            if wrong:
                raise GenbenchError(
                    f"step {number}: {', '.join(wrong)} is no longer finite; the last good state "
                    f"is in {state}: lower the learning rate"
                )
            advance(1)
            finished = number + 1
            if run.world.leads and finished % _LOG_EVERY == 0:
                lines.append(json.dumps({"step": finished, **losses}))
            if not run.world.leads:
                continue
            if finished % recipe.preview_every == 0 or finished == steps:
                save_grid(run.out / f"preview-{finished:07d}.png", training.preview()[:_GRID])
            if finished % recipe.save_every == 0 or finished == steps or user.interrupts:
                # The log first: lines beyond the state are done again, missing ones never are.
                _write_lines(log, lines)
                _save(training, state, finished, identity)
                last = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                run.reporter.note(f"step {finished}: {last}")
            if user.interrupts:
                raise KeyboardInterrupt
    run.world.barrier()


class _Interruptible:
    """While it lasts, Ctrl-C waits for the end of a step, whose state can be saved; a second one
    does not wait. In the main thread alone, where signals arrive."""

    interrupts = False

    def __enter__(self) -> _Interruptible:
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def _interrupted(self, number: int, frame: object) -> None:
        self.interrupts = True
        signal.signal(signal.SIGINT, self._before)

    def __exit__(self, *problem: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


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
    with replacing(path) as temporary, temporary.open("wb") as file:
        writer = _Remembering(file)
        try:
            torch.save(held, writer)
        except (
            RuntimeError
        ) as error:  # what torch makes of a full disk, which has a name of its own
            raise writer.problem or error from error


class _Remembering(io.BufferedWriter):
    """A file that remembers why a write to it failed."""

    problem: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.problem = error
            raise


def _kept_lines(path: Path, step: int) -> list[str]:
    """The lines of the log up to a step: what came after it will be done again."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]


def _write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(line + os.linesep for line in lines))
