"""Options that several commands share, and those a model adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.models.opening import ResolvedModel

# What these commands do not know belongs to the model: `--truncation 0.5`, `--steps 250`.
MODEL_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}

Model = Annotated[str, typer.Option("--model", "-m", help="Model to sample (`genbench ls`).")]
Resolution = Annotated[int, typer.Option("--res", help="Resolution in pixels.", min=0)]
Variant = Annotated[str, typer.Option(help="Variant of the model (`genbench ls MODEL`).")]
Checkpoint = Annotated[str, typer.Option(help="Weights: a path, or URL#sha256=DIGEST.")]
Seed = Annotated[int, typer.Option(help="Seed; sample i depends on (seed, i) alone.")]
Labels = Annotated[str, typer.Option(help="Classes: uniform, balanced, or numbers in turn: 3,17.")]
Batch = Annotated[
    int | None,
    typer.Option(help="Samples handed on at once, in whole blocks; changes no figure.", min=1),
]
Block = Annotated[
    int | None,
    typer.Option(
        help="Samples a network call: fewer where memory is short. Moves last digits, and is part "
        "of what is measured.", min=1,
    ),
]  # fmt: skip
Dtype = Annotated[
    str, typer.Option(help="float32, tf32, float16, bfloat16; empty: the card's own.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Crop = Annotated[str, typer.Option(help="How images become --res: none, adm, resize.")]
Detector = Annotated[str, typer.Option(help="Feature extractor (`genbench ls detectors`).")]
Weights = Annotated[Path | None, typer.Option(help="The detector's weights file.")]
Reuse = Annotated[
    bool, typer.Option("--reuse", help="Compute nothing that is on record and unchanged.")
]
Cache = Annotated[Path | None, typer.Option(help="Cache folder (default: $GENBENCH_CACHE).")]
Name = Annotated[
    str,
    typer.Option(
        help="Name of the run: for tables, and to find it by.",
        callback=lambda given: " ".join(given.split()),
    ),
]
Records = Annotated[
    list[Path] | None,
    typer.Option(help="Record file to read; repeat it (default: $GENBENCH_RECORDS)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]


def free_options(ctx: typer.Context) -> dict[str, str]:
    """The options this command does not know, by name without dashes; a bare one is "true"."""
    return dict(option_pairs(ctx))


def option_pairs(ctx: typer.Context) -> list[tuple[str, str]]:
    """`free_options` as they were given, of which one may be given again."""
    given: list[tuple[str, str]] = []
    words = list(ctx.args)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"{word!r} is not expected here: options start with --")
        key, has_value, value = word[2:].partition("=")
        if not has_value:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
        given.append((key, value))
    return given


def resolved_model(
    ctx: typer.Context, model: str, res: int, variant: str, checkpoint: str, seed: int,
    labels: str, dtype: str, batch_size: int | None, block: int | None,
) -> ResolvedModel:  # fmt: skip
    """The model as the user named it, with the options it alone knows."""
    from genbench.models.opening import ModelRequest, resolve

    request = ModelRequest(
        name=model, resolution=res, variant=variant, checkpoint=checkpoint,
        options=free_options(ctx), seed=seed, labels=labels, dtype=dtype, batch_size=batch_size,
        block=block,
    )  # fmt: skip
    found = resolve(request, lenient=True)
    refuse_unknown(ctx, [found])
    return found


def refuse_unknown(ctx: typer.Context, models: Sequence[ResolvedModel]) -> None:
    """Raise UsageError for an option that neither the command nor any of these models has."""
    names = [name for parameter in ctx.command.params for name in parameter.opts]
    for model in models:
        names += [f"--{name.replace('_', '-')}" for name in model.options]
    for key in free_options(ctx):
        if all(key in model.unknown for model in models):
            spelled = f"--{key.replace('_', '-')}"
            raise UsageError(f"there is no option {spelled}; {suggestion(spelled, names)}")
