"""Options that several commands share, and those a model adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli import completion
from genbench.errors import UsageError, suggestion
from genbench.records.run_names import run_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.models.opening import ResolvedModel

RECORDS_DEFAULT = "$GENBENCH_RECORDS, else ~/.local/share/genbench/records.jsonl"

# What these commands do not know belongs to the model: `--truncation 0.5`, `--steps 250`.
MODEL_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}

# The panels of the help, in no particular order: a command's own order of options counts.
IMAGES, MODEL, MEASURE = "Images", "Model", "What to measure"
COMPUTE, OUTPUT, TRAINING = "How to compute", "Output", "Training"
CHOICE, RECORDS = "Which runs (of `ls runs`)", "Of what is on record (--from-records)"

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Model to sample (`genbench ls`).", metavar="NAME",
        rich_help_panel=MODEL, autocompletion=completion.models, show_default=False,
    ),
]  # fmt: skip
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Model (`genbench ls`).", autocompletion=completion.models,
        show_default=False,
    ),
]  # fmt: skip
Resolution = Annotated[
    int,
    typer.Option(
        "--res", help="Resolution in pixels.", min=0, metavar="PIXELS", rich_help_panel=MODEL,
        show_default="the model's first",
    ),
]  # fmt: skip
ImageSize = Annotated[
    int,
    typer.Option(
        "--res", help="Resolution that --crop brings images to, in pixels.", min=0,
        metavar="PIXELS", rich_help_panel=IMAGES, show_default="as they are",
    ),
]  # fmt: skip
ModelOrImageSize = Annotated[
    int,
    typer.Option(
        "--res", help="Resolution in pixels, of the model or of images (with --crop).", min=0,
        metavar="PIXELS", rich_help_panel=MODEL, show_default="the model's first; as images are",
    ),
]  # fmt: skip
Variant = Annotated[
    str,
    typer.Option(
        help="Variant of the model (`genbench ls MODEL`).", metavar="NAME", rich_help_panel=MODEL,
        show_default="the first of that resolution",
    ),
]  # fmt: skip
Checkpoint = Annotated[
    str,
    typer.Option(
        help="Weights: a path, or URL#sha256=DIGEST.", metavar="PATH", rich_help_panel=MODEL,
        show_default="the variant's own",
    ),
]  # fmt: skip
Seed = Annotated[
    int,
    typer.Option(
        help="Seed; sample i depends on (seed, i) alone.", metavar="N", rich_help_panel=MODEL
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="Classes: uniform, balanced, or numbers in turn: 3,17.", metavar="CLASSES",
        rich_help_panel=MODEL,
    ),
]  # fmt: skip
Batch = Annotated[
    int | None,
    typer.Option(
        help="Samples handed on at once, in whole blocks; changes no figure.", min=1, metavar="N",
        rich_help_panel=COMPUTE, show_default="one block",
    ),
]  # fmt: skip
Block = Annotated[
    int | None,
    typer.Option(
        help="Samples a network call: fewer where memory is short. Moves last digits, and is part "
        "of what is measured.", min=1, metavar="N", rich_help_panel=COMPUTE,
        show_default="at 32 pixels 25 on a CPU, 100 on a GPU; fewer of larger images",
    ),
]  # fmt: skip
Dtype = Annotated[
    str,
    typer.Option(
        help="Arithmetic: float32, tf32, float16, bfloat16.", metavar="DTYPE",
        rich_help_panel=COMPUTE, autocompletion=completion.arithmetics,
        show_default="the variant's own, mostly float32",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:1, … (auto: a GPU where there is one).",
        metavar="DEVICE",
        rich_help_panel=COMPUTE,
    ),
]
Crop = Annotated[
    str,
    typer.Option(
        help="How images become --res: none, adm, resize.", metavar="CROP", rich_help_panel=IMAGES
    ),
]
ProtocolCrop = Annotated[
    str,
    typer.Option(
        help="How images become --res: none, adm, resize.", metavar="CROP", rich_help_panel=IMAGES,
        show_default="the protocol's",
    ),
]  # fmt: skip
Detector = Annotated[
    str,
    typer.Option(
        help="Feature extractor (`genbench ls detectors`).", metavar="NAME",
        rich_help_panel=MEASURE, autocompletion=completion.detectors,
    ),
]  # fmt: skip
ProtocolDetector = Annotated[
    str,
    typer.Option(
        help="Feature extractor (`genbench ls detectors`).", metavar="NAME",
        rich_help_panel=MEASURE, autocompletion=completion.detectors,
        show_default="the protocol's",
    ),
]  # fmt: skip
Protocol = Annotated[
    str,
    typer.Option(
        help="Protocol (`genbench ls protocols`).", metavar="NAME", rich_help_panel=MEASURE,
        autocompletion=completion.protocols,
        show_default="of a model bundled at 32 pixels, ADM's at ImageNet sizes; else standard",
    ),
]  # fmt: skip
Reference = Annotated[
    str,
    typer.Option(
        help="Reference: images as --samples takes them, or an ADM reference file.",
        metavar="IMAGES", rich_help_panel=IMAGES, show_default="the protocol's, where it has one",
    ),
]  # fmt: skip
Counts = Annotated[
    list[int] | None,
    typer.Option(
        "-n", help="Sample count; repeat it.", metavar="N", rich_help_panel=MEASURE,
        show_default="the protocol's: 10,000 or 50,000",
    ),
]  # fmt: skip
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        help="fid, sfid, is, kid, precision, recall, density, coverage, fid_infinity, class_fid, "
        "mind, cmmd, sw, vendi or class_vendi; repeat it. Without Inception features: fd, sfd, cs, "
        "kd, fd_infinity, class_fd, md and gmmd.",
        metavar="METRIC", rich_help_panel=MEASURE, autocompletion=completion.metrics,
        show_default="all of the protocol's",
    ),
]  # fmt: skip
Interval = Annotated[bool, typer.Option("--ci", help="Add 95% intervals.", rich_help_panel=MEASURE)]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="The detector's weights file.", metavar="FILE", rich_help_panel=MEASURE,
        show_default="the published one, from the cache or downloaded",
    ),
]  # fmt: skip
Reuse = Annotated[
    bool,
    typer.Option(
        "--reuse", help="Compute nothing that is on record and unchanged.", rich_help_panel=COMPUTE
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Cache folder.", metavar="FOLDER", rich_help_panel=COMPUTE,
        show_default="$GENBENCH_CACHE, else ~/.cache/genbench",
    ),
]  # fmt: skip
RecordFile = Annotated[
    Path | None,
    typer.Option(
        "--records", help="Record file to append to.", metavar="FILE", rich_help_panel=OUTPUT,
        show_default=RECORDS_DEFAULT,
    ),
]  # fmt: skip
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON lines instead of a table.", rich_help_panel=OUTPUT),
]
Name = Annotated[
    str,
    typer.Option(
        help="Name of the run: for tables, and to find it by.", metavar="TEXT",
        rich_help_panel=OUTPUT, callback=lambda given: run_name(given),
        show_default=False,
    ),
]  # fmt: skip
Records = Annotated[
    list[Path] | None,
    typer.Option(
        help="Record file to read; repeat it.", metavar="FILE", show_default=RECORDS_DEFAULT
    ),
]


def free_options(ctx: typer.Context) -> dict[str, str]:
    """The options this command does not know, by name without dashes; a bare one is "true".
    Raises UsageError for any other word."""
    return dict(option_pairs(ctx))


def option_pairs(ctx: typer.Context) -> list[tuple[str, str]]:
    """`free_options` as they were given, of which one may be given again."""
    words, pairs = _words_and_pairs(ctx)
    if words:
        raise UsageError(f"{words[0]!r} is not expected here: options start with --")
    return pairs


def words_and_options(ctx: typer.Context) -> tuple[list[str], dict[str, str]]:
    """What this command does not know: words that are no options, and `free_options`."""
    words, pairs = _words_and_pairs(ctx)
    return words, dict(pairs)


def _words_and_pairs(ctx: typer.Context) -> tuple[list[str], list[tuple[str, str]]]:
    loose: list[str] = []
    given: list[tuple[str, str]] = []
    words = list(ctx.args)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            loose.append(word)
            continue
        key, has_value, value = word[2:].partition("=")
        if not has_value:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
        given.append((key, value))
    return loose, given


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
    for key in words_and_options(ctx)[1]:
        if all(key in model.unknown for model in models):
            spelled = f"--{key.replace('_', '-')}"
            raise UsageError(f"there is no option {spelled}; {suggestion(spelled, names)}")
