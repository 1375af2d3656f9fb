"""One optimiser step of BigGAN-deep's recipes on synthetic images, for training throughput."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from genbench.errors import UsageError
from genbench.models.optional import StepSetting, TrainingForm
from genbench_adapters.biggan_deep.network import OFFICIAL
from genbench_adapters.biggan_deep.train import BigGANRecipe, BigGANTraining
from genbench_adapters.training.recipes import read_recipe
from genbench_adapters.training.synthetic_images import synthetic_images

_SMALL = Path(__file__).with_name("fashion-mnist-32.toml")
# With these 34.5M parameters; the paper's 34.6M has an attention at 64 pixels beside them.
_WIDTHS = {128: [128, 256, 512, 1024, 2048, 2048]}


def training_forms(resolution: int) -> list[TrainingForm]:
    """The paper's sizes where the discriminator's are known, and the recipe genbench ships."""
    small = read_recipe(_SMALL, BigGANRecipe)
    if resolution not in (small.resolution, *_WIDTHS):
        return []
    twice = resolution == small.resolution and small.discriminator_steps == 2
    updates = "two updates of the discriminator to one" if twice else "one update of either network"
    note = f"hinge loss, {updates}, Adam, moving average, no imle"
    network = f"biggan-deep-{resolution}"
    return [TrainingForm(network=network, resolution=resolution, name="recipe", note=note)]


def training_step(form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
    """The step of `BigGANTraining`. Raises UsageError for float16, which it does not train in."""
    if setting.dtype == torch.float16:
        raise UsageError("BigGAN-deep trains in float32 or bfloat16: choose with --dtype")
    recipe = read_recipe(_SMALL, BigGANRecipe)
    if form.resolution in _WIDTHS:
        config = OFFICIAL[form.resolution]
        recipe = BigGANRecipe(
            resolution=form.resolution, classes=config.num_classes,
            layers=[list(map(int, layer)) for layer in config.layers],
            channel_width=config.channel_width, z_dim=config.z_dim,
            discriminator_widths=_WIDTHS[form.resolution], steps=1, batch=setting.batch,
        )  # fmt: skip
    half = setting.dtype == torch.bfloat16
    # No matches (imle): the step that renews them does the work of two hundred.
    recipe = replace(
        recipe, batch=setting.batch, precision="bfloat16" if half else "float32", imle=0.0
    )
    data = synthetic_images(setting.run, recipe.resolution, recipe.classes)
    training = BigGANTraining(recipe, setting.run, data)
    if setting.compile:
        training.generator.compile()
        training.discriminator.compile()
    return training.step
