"""Commands that take a model's own options: their help and their completion know these too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from genbench.errors import GenbenchError

if TYPE_CHECKING:
    from genbench.models.options import Option

_NAMED = "genbench.models named"  # key of a context's meta


@dataclass(frozen=True)
class _Completion:
    """What the shells' completion scripts are given of a name."""

    value: str
    help: str
    type: str = "plain"


class ModelCommand(TyperCommand):
    """A command for one model, or several, whose options join its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Notes the models that the line names, since help is shown before all else is read."""
        ctx.meta[_NAMED] = _models_of(args, positional=_model_comes_first(self))
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The command's help, and below it a panel of options for each model named.

        Raises UsageError for a model that there is not.
        """
        found = {name: options_of(name) for name in ctx.meta.get(_NAMED, ())}
        super().format_help(ctx, formatter)
        own = {name for parameter in self.params for name in parameter.opts}
        for name, options in found.items():
            _print_panel(name, [option for option in options if spelled(option) not in own])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The command's own names; those of the model, whose import takes a second or two, only
        where none of them fits."""
        found: list[Any] = super().shell_complete(ctx, incomplete)
        if found or not incomplete.startswith("--"):
            return found
        for name in ctx.meta.get(_NAMED, ()):
            try:
                options = options_of(name)
            except GenbenchError:
                continue
            found += [
                _Completion(spelled(option), option.help)
                for option in options if spelled(option).startswith(incomplete)
            ]  # fmt: skip
        return found


def options_of(model: str) -> list[Option]:
    """A model's own options. Raises UsageError for an unknown name, GenbenchError for a broken
    package."""
    from genbench.models.naming import family_named
    from genbench.models.options import adapter_options

    return list(adapter_options(family_named(model)).values())


def spelled(option: Option) -> str:
    """An option as the command line has it."""
    return f"--{option.name.replace('_', '-')}"


def _model_comes_first(command: TyperCommand) -> bool:
    """Whether the model is the command's first argument and not an option."""
    first = next((item for item in command.params if item.param_type_name == "argument"), None)
    return first is not None and first.name == "model"


def _models_of(words: Sequence[str], *, positional: bool) -> list[str]:
    """The models that a command line names."""
    if positional:
        return [word for word in words[:1] if not word.startswith("-")]
    named = []
    for word, following in pairwise([*words, ""]):
        if word in ("--model", "-m"):
            named.append(following)
        elif word.startswith("--model="):
            named.append(word.partition("=")[2])
    return list(dict.fromkeys(filter(None, named)))


def _print_panel(model: str, options: Sequence[Option]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, pad_edge=False, expand=True)
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(style="bold yellow", no_wrap=True)
    table.add_column(ratio=1)
    for option in options:
        kind = "|".join(map(str, option.choices)) if option.choices else option.type.__name__
        default = f"[dim]\\[default: {escape(text)}][/dim]" if (text := _default(option)) else ""
        table.add_row(spelled(option), f"<{kind}>", f"{escape(option.help)} {default}".strip())
    content = table if options else "none: nothing about it can be set"
    title = f"Options of {model}"
    Console().print(Panel(content, title=title, title_align="left", border_style="dim"))


def _default(option: Option) -> str:
    """The default as one would type it; empty for none."""
    if option.default is None:
        return "none"
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return str(option.default)
