"""Recipes of tiny networks, and trainings by them before their first step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from strangers import error_line, genbench
from training_runs import silent_run

from genbench_adapters.biggan_deep.train import BigGANRecipe, BigGANTraining
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.hit.train import HiTTraining
from genbench_adapters.training.recipes import read_recipe
from genbench_adapters.training.synthetic_images import synthetic_images

BIGGAN_RECIPE = """
resolution = 32
classes = 10
channel_width = 8
z_dim = 4
layers = [[1, 2, 2], [1, 2, 2], [1, 2, 1]]
discriminator_widths = [8, 16, 16]
batch = 8
steps = 6
ema = 0.9
statistics_batches = 1
statistics_batch = 4
save_every = 2
preview_every = 3
"""


HIT_RECIPE = """
dims = [16, 16, 8]
heads = [4, 2, 2]
layers = [1, 1, 1]
patches = [4, 4, 0]
latent = 4
discriminator_widths = [8, 8, 8, 8]
batch = 4
steps = 3
r1_every = 2
consistency = 10.0
save_every = 1
preview_every = 2
"""


def hit_words(folder: Path, out: str) -> tuple[str | Path, ...]:
    (folder / "recipe.toml").write_text(HIT_RECIPE)
    recipe = folder / "recipe.toml"
    return ("train", "hit", "--config", recipe, "--data", "bundled[:50]", "--out", folder / out)


def begun_hit(folder: Path, *lines: str) -> HiTTraining:
    """The recipe with more lines, before its first step."""
    recipe = folder / "recipe.toml"
    recipe.write_text(HIT_RECIPE + "\n".join(lines))
    run = silent_run(recipe, folder)
    return HiTTraining(read_recipe(recipe, HiTRecipe), run, synthetic_images(run, 32, 0))


def begun_biggan(recipe: Path, folder: Path, lines: str) -> BigGANTraining:
    """The recipe with more lines, which may replace its own, before its first step."""
    keys = {line.split(" =")[0] for line in lines.splitlines()}
    kept = [line for line in BIGGAN_RECIPE.splitlines() if line.split(" =")[0] not in keys]
    recipe.write_text("\n".join([*kept, lines]))
    run = silent_run(recipe, folder)
    return BigGANTraining(read_recipe(recipe, BigGANRecipe), run, synthetic_images(run, 32, 10))


Begin = Callable[[Path, str], BigGANTraining | HiTTraining]


def begin_biggan(folder: Path, line: str) -> BigGANTraining:
    return begun_biggan(folder / "recipe.toml", folder, line)


def begin_hit(folder: Path, line: str) -> HiTTraining:
    return begun_hit(folder, line)


def refusal(folder: Path, family: str, line: str) -> str:
    """What `genbench train` says of a recipe with one more line."""
    recipe = folder / "recipe.toml"
    known = BIGGAN_RECIPE if family == "biggan-deep" else HIT_RECIPE
    recipe.write_text(known + line)
    words = ("--config", recipe, "--data", "bundled[:50]", "--out", folder / "run")
    return error_line(genbench("train", family, *words))


def biggan_words(recipe: Path, out: Path) -> tuple[str | Path, ...]:
    return ("train", "biggan-deep", "--config", recipe, "--data", "bundled[:200]", "--out", out)


def run_in_two_processes(recipe: Path, out: Path) -> None:
    """Train two steps under torchrun."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "genbench", *map(str, biggan_words(recipe, out)), "--steps", "2"]
    run = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stderr[-2000:]
