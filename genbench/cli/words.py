"""What a command line says beyond a command's own options: words, and a model's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from genbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genbench.models.opening import ResolvedModel


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
    labels: str, dtype: str, batch_size: int | None, block: int | None, compiles: bool = False,
) -> ResolvedModel:  # fmt: skip
    """The model as the user named it, with the options it alone knows."""
    from genbench.models.opening import ModelRequest, resolve

    request = ModelRequest(
        name=model, resolution=res, variant=variant, checkpoint=checkpoint,
        options=free_options(ctx), seed=seed, labels=labels, dtype=dtype, batch_size=batch_size,
        block=block, compiles=compiles,
    )  # fmt: skip
    found = resolve(request, lenient=True)
    refuse_unknown(ctx, [found])
    return found


def refuse_unknown(ctx: typer.Context, models: Sequence[ResolvedModel]) -> None:
    """Raise UsageError for an option that neither the command nor any of these models has."""
    names = [
        name for parameter in ctx.command.params for name in parameter.opts if name.startswith("-")
    ]  # fmt: skip
    for model in models:
        names += [f"--{name.replace('_', '-')}" for name in model.options]
    for key in words_and_options(ctx)[1]:
        if all(key in model.unknown for model in models):
            spelled = f"--{key.replace('_', '-')}"
            raise UsageError(f"there is no option {spelled}; {suggestion(spelled, names)}")
