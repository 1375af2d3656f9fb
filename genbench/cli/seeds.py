"""`genbench fid --seeds`: several runs of one model, one a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import MODEL
from genbench.errors import UsageError

if TYPE_CHECKING:
    from genbench.models.opening import ResolvedModel
    from genbench.records.kinds import QualityRecord

Seeds = Annotated[
    str,
    typer.Option(
        help="Several runs: 3 from --seed on, or seeds 0,5,7; with their mean and best.",
        metavar="COUNT", rich_help_panel=MODEL, show_default="one run",
    ),
]  # fmt: skip
_MOST = 1000  # runs: more is a slip, such as the seed itself


def named_seeds(text: str, first: int) -> list[int]:
    """The seeds of "3" (so many from `first` on) or of "0,5,7" (these). Raises UsageError for
    anything else, for one seed alone, and for a seed there cannot be."""
    from genbench.models.noise import check_seed

    try:
        numbers = list(dict.fromkeys(int(word) for word in text.split(",") if word.strip()))
    except ValueError as error:
        raise UsageError(f"--seeds takes a count, 3, or seeds, 0,1,2, not {text}") from error
    if "," not in text and numbers and numbers[0] <= _MOST:
        numbers = list(range(first, first + numbers[0]))
    elif "," not in text:
        raise UsageError(f"--seeds {text} is a count, at most {_MOST}: one seed is --seed {text}")
    if len(numbers) < 2:
        raise UsageError(f"--seeds {text} is not two runs or more: --seeds 3, or --seed for one")
    for number in numbers:
        check_seed(number)
    return numbers


def of_seeds(model: ResolvedModel | None, seeds: list[int]) -> list[ResolvedModel]:
    """The model once a seed. Raises UsageError without a model: images are one run."""
    if model is None:
        raise UsageError("--seeds draws a model several times: name it with --model")
    return [replace(model, request=replace(model.request, seed=seed)) for seed in seeds]


def show_seeds(runs: Sequence[Sequence[QualityRecord]]) -> None:
    """Print what several runs came to; of one alone, which of several its paper prints."""
    from genbench.cli.console import stdout, told
    from genbench.records.protocols import load_protocols
    from genbench.tables.seed_listing import list_seeds
    from genbench.tables.terminal import print_listing

    if not all(runs):  # of a process of several, not the first
        return
    if len(runs) > 1:
        print_listing(stdout, list_seeds(runs))
        return
    used = load_protocols().get(runs[0][0].protocol)
    if used and used.reported:
        told(f"the paper prints the {used.reported} of {used.seeds} runs: --seeds {used.seeds}")
