"""Options that several commands share, and those a model adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli import completion
from genbench.records.run_names import run_name

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
        "--model", "-m",
        help="Model to sample: a name of `genbench ls`, or your own (docs/any-model.md): "
        "FILE.py:FUNCTION, diffusers:FOLDER, FILE.onnx or FILE.pt2.", metavar="NAME",
        rich_help_panel=MODEL, autocompletion=completion.models, show_default=False,
    ),
]  # fmt: skip
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", autocompletion=completion.models, show_default=False,
        help="Model: a name of `genbench ls`, or your own, such as FILE.py:FUNCTION.",
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
        help="Weights: a path, hf:OWNER/REPO/FILE@REVISION, or https://… with #sha256=DIGEST "
        "where you know it (docs/fetch.md).", metavar="PATH", rich_help_panel=MODEL,
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
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="torch.compile the networks. Moves last digits, and is part of what is "
        "measured.", rich_help_panel=COMPUTE,
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
Preprocessing = Annotated[
    str,
    typer.Option(
        help="How images come to the detector (`genbench ls preprocessings`).", metavar="NAME",
        rich_help_panel=MEASURE, autocompletion=completion.preprocessings,
        show_default="the protocol's, else the detector's own",
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
        help="Reference: images as --samples takes them, a file of statistics, or a published "
        "file's name (`genbench ls references`).",
        metavar="IMAGES", rich_help_panel=IMAGES, autocompletion=completion.references,
        show_default="the protocol's, where it has one",
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
        help="fid, sfid, is, kid, precision, recall, density, coverage or one of `genbench ls "
        "metrics`; repeat it, or fid,recall. Without Inception features: fd, sfd, cs, kd, …",
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
Shard = Annotated[
    str,
    typer.Option(
        "--shard", help="Compute this share of the shards and no figures: 3/16, slurm (the task's "
        "place in its array), or pull (whatever no other host is computing).", metavar="SHARE",
        rich_help_panel=COMPUTE, show_default="all",
    ),
]  # fmt: skip
OtherCaches = Annotated[
    list[Path] | None,
    typer.Option(
        "--from", help="Another cache to copy missing shards from; repeat it.", metavar="FOLDER",
        rich_help_panel=COMPUTE, show_default=False,
    ),
]  # fmt: skip
Store = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Keep shards and records at an address, such as s3://bucket/folder.",
        metavar="ADDRESS", rich_help_panel=COMPUTE, show_default=False,
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
