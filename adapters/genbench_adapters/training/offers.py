"""What the families with recipes offer beside sampling, found in modules of their own packages."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genbench.models.optional import StepSetting, TrainingForm, TrainRun


class TrainsByRecipe:
    """A family whose package has the modules `train` (with a function `train`) and `train_step`
    (with `training_forms` and `training_step`). They are imported when they are asked for:
    sampling needs none of them."""

    @classmethod
    def train(cls, run: TrainRun) -> Path:
        """Train by a recipe file, or resume; returns the finished weights' path."""
        path: Path = _module(cls, "train").train(run)
        return path

    @classmethod
    def training_forms(cls, resolution: int) -> Sequence[TrainingForm]:
        """What of a training step can be timed at a resolution."""
        forms: Sequence[TrainingForm] = _module(cls, "train_step").training_forms(resolution)
        return forms

    @classmethod
    def training_step(cls, form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
        """An optimiser step on synthetic images."""
        step: Callable[[int], object] = _module(cls, "train_step").training_step(form, setting)
        return step


def _module(family: type, name: str) -> Any:
    """A module beside a family's own."""
    return importlib.import_module(f"{family.__module__.rpartition('.')[0]}.{name}")
