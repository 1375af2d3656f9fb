"""`genbench train`, `distill` and `convert`: what only some families bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli import completion
from genbench.cli.options import (
    MEASURE,
    TRAINING,
    Crop,
    Device,
    ModelArgument,
    Resolution,
    Seed,
)
from genbench.cli.words import (
    free_options,
)

Recipe = Annotated[
    str,
    typer.Option(
        help="A recipe that the family brings, such as fashion-mnist-32.", metavar="NAME",
        rich_help_panel=TRAINING, show_default=False,
    ),
]  # fmt: skip
Config = Annotated[
    Path | None,
    typer.Option(
        help="Or a recipe file of your own (TOML).", metavar="FILE", rich_help_panel=TRAINING,
        show_default=False,
    ),
]  # fmt: skip
RunFolder = Annotated[
    Path,
    typer.Option(
        help="Folder for state, log, previews and weights.", metavar="FOLDER",
        rich_help_panel=TRAINING,
    ),
]  # fmt: skip
Steps = Annotated[
    int,
    typer.Option(
        help="Steps in all.", min=0, metavar="N", rich_help_panel=TRAINING,
        show_default="the recipe's",
    ),
]  # fmt: skip


def train(
    model: ModelArgument,
    out: RunFolder,
    recipe: Recipe = "",
    config: Config = None,
    data: Annotated[
        str,
        typer.Option(help="Training images, labelled.", metavar="IMAGES", rich_help_panel=TRAINING),
    ] = "fashion-mnist:train",
    crop: Crop = "none",
    steps: Steps = 0,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train a model by its recipe; a killed run resumes where its last checkpoint stands.

    Under torchrun the processes share each batch.
    """
    from genbench.models.naming import refuse_opened
    from genbench.models.optional import TrainRun
    from genbench.models.recipes import chosen_recipe
    from genbench.models.registry import trainable
    from genbench.runtime.devices import common_device
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.progress_bars import ProgressBars

    refuse_opened(model, "train it with its own code, or a family that has a recipe, such as hit")
    family = trainable(model)
    chosen = chosen_recipe(model, config, recipe)
    with joined_world(trains=True) as world:
        run = TrainRun(
            config=chosen, data=data, crop=crop, out=out, seed=seed, steps=steps, world=world,
            device=common_device(device, world), reporter=ProgressBars(leads=world.leads),
        )  # fmt: skip
        weights = family.train(run)
        if world.leads:
            print(f"trained {model}: {weights}", file=sys.stderr)


def distill(
    model: ModelArgument,
    out: RunFolder,
    recipe: Recipe = "",
    config: Config = None,
    teacher: Annotated[
        str,
        typer.Option(
            help="Diffusion model to distil: its name, or its weights.",
            metavar="NAME",
            rich_help_panel=TRAINING,
            autocompletion=completion.models,
        ),
    ] = "adm-guided",
    res: Resolution = 0,
    steps: Steps = 0,
    fd_every: Annotated[
        int,
        typer.Option(
            help="Measure after every so many steps, into curve.jsonl.",
            min=0,
            metavar="N",
            rich_help_panel=MEASURE,
            show_default="never",
        ),
    ] = 0,
    fd_samples: Annotated[
        int,
        typer.Option(
            help="Samples of such a measurement.", min=2, metavar="N", rich_help_panel=MEASURE
        ),
    ] = 2000,
    protocol: Annotated[
        str,
        typer.Option(
            help="Protocol of these measurements.",
            metavar="NAME",
            rich_help_panel=MEASURE,
            autocompletion=completion.protocols,
        ),
    ] = "bundled",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Distil a diffusion model into a one-step generator (EM Distillation); no images needed.

    A killed run resumes where its last checkpoint stands. Under torchrun the processes share
    each batch.
    """
    from genbench.models.checkpoints import named_weights
    from genbench.models.naming import refuse_opened
    from genbench.models.optional import DistillRun
    from genbench.models.recipes import chosen_recipe
    from genbench.models.registry import distillable
    from genbench.quality.training_curve import Curve, distilled
    from genbench.records.protocols import find_protocol
    from genbench.runtime.devices import common_device
    from genbench.runtime.distributed import joined_world
    from genbench.runtime.progress_bars import ProgressBars

    refuse_opened(model, "distil it with its own code, or use genbench distill emd")
    family = distillable(model)
    chosen = chosen_recipe(model, config, recipe)
    weights = named_weights(teacher, res)
    curve = Curve(every=fd_every, samples=fd_samples, protocol=find_protocol(protocol))
    with joined_world(trains=True) as world:
        run = DistillRun(
            config=chosen, teacher=weights, resolution=res, out=out, seed=seed, steps=steps,
            world=world, device=common_device(device, world),
            reporter=ProgressBars(leads=world.leads),
        )  # fmt: skip
        path = distilled(family.distill, run, model, curve)
        if world.leads:
            print(f"distilled {model}: {path}", file=sys.stderr)


def convert(
    ctx: typer.Context,
    model: ModelArgument,
    source: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint in the official format.")
    ],
    out: Annotated[Path, typer.Option(help="File to write (.safetensors).", metavar="FILE")],
) -> None:
    """Convert an official checkpoint once, to a file of tensors that --checkpoint takes.

    Options of the family follow the same way: hit has --weights ema|generator and --patches, edm
    and emd have --trust-pickle.
    """
    from genbench.models.naming import refuse_opened
    from genbench.models.optional import ConvertRun
    from genbench.models.registry import convertible

    refuse_opened(model, "it is read as it is, and there is nothing to convert")
    run = ConvertRun(source=source, out=out, options=free_options(ctx))
    print(convertible(model).convert(run), file=sys.stderr)
