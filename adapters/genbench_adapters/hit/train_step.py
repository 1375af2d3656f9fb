"""One optimiser step of HiT's recipes on synthetic images, for training throughput."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from genbench.errors import UsageError
from genbench.models.optional import StepSetting, TrainingForm
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.hit.recipes import RECIPES
from genbench_adapters.hit.train import HiTTraining
from genbench_adapters.training.recipes import read_recipe
from genbench_adapters.training.synthetic_images import synthetic_images


def training_forms(resolution: int) -> list[TrainingForm]:
    """The recipes genbench ships: the paper's, and that of the bundled weights."""
    if resolution not in RECIPES:
        return []
    recipe = read_recipe(RECIPES[resolution], HiTRecipe)
    loss = "R1 and balanced consistency" if recipe.consistency else "R1"
    note = f"non-saturating loss with {loss}, one update of either network, Adam, moving average"
    network = f"hit-{resolution}"
    return [TrainingForm(network=network, resolution=resolution, name="recipe", note=note)]


def training_step(form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
    """The step of `HiTTraining`, its penalty in every step and nothing to cover the data, as in the
    paper.

    Raises UsageError for float16, and for compiling: torch compiles no second derivatives.
    """
    if setting.dtype == torch.float16:
        raise UsageError("HiT trains in float32 or bfloat16: choose with --dtype")
    if setting.compile:
        raise UsageError("torch.compile has no second derivatives, which R1 needs: HiT's step "
                         "cannot be timed with --compile")  # fmt: skip
    half = setting.dtype == torch.bfloat16
    recipe = replace(
        read_recipe(RECIPES[form.resolution], HiTRecipe), batch=setting.batch, r1_every=1,
        precision="bfloat16" if half else "float32",
        imle=0.0, reconstruction=0.0, autoencoder_steps=0,
    )  # fmt: skip
    data = synthetic_images(setting.run, recipe.network().resolution, 0)
    return HiTTraining(recipe, setting.run, data).step
