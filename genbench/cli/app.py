"""The command line: parse, call, show."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from genbench.cli import completion
from genbench.cli.bundles import bundle, verify
from genbench.cli.card import card
from genbench.cli.checks import check, doctor, schema
from genbench.cli.compare import compare
from genbench.cli.examples import epilog
from genbench.cli.explain import explain
from genbench.cli.fetch import fetch
from genbench.cli.gate import gate
from genbench.cli.images import ref, sample
from genbench.cli.merge import merge
from genbench.cli.model_command import ModelCommand
from genbench.cli.options import CHOICE, MODEL_OPTIONS, Json, Records
from genbench.cli.plot import plot
from genbench.cli.quality import fid
from genbench.cli.reproduce import reproduce
from genbench.cli.runs import delete
from genbench.cli.site import site
from genbench.cli.speed import audit, throughput
from genbench.cli.sweep import sweep
from genbench.cli.tables import read_all, report, spec_folders, table
from genbench.cli.training import convert, distill, train
from genbench.cli.watch import watch
from genbench.errors import GenbenchError, UsageError
from genbench.runtime.folders import expanded
from genbench.version import __version__

app = typer.Typer(
    name="genbench",
    help="Benchmark image generators: draw samples, measure them, cite the figures.",
    epilog=epilog("genbench"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def ls(
    what: Annotated[
        str,
        typer.Argument(
            help="models, protocols, papers, references, metrics, detectors, preprocessings, gpus, "
            "tables, runs or a MODEL",
            autocompletion=completion.lists,
        ),
    ] = "models",
    which: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]",
            help="A protocol or a reference, explained; or text of a paper's name.",
            show_default=False,
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(help="Of this model or variant.", metavar="NAME", rich_help_panel=CHOICE),
    ] = "",
    name: Annotated[
        str, typer.Option(help="Whose name begins so.", metavar="TEXT", rich_help_panel=CHOICE)
    ] = "",
    metric: Annotated[
        str,
        typer.Option(
            help="That measured this.",
            metavar="METRIC",
            rich_help_panel=CHOICE,
            autocompletion=completion.metrics,
        ),
    ] = "",
    protocol: Annotated[
        str,
        typer.Option(
            help="Under this protocol.",
            metavar="NAME",
            rich_help_panel=CHOICE,
            autocompletion=completion.protocols,
        ),
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            help="Since a date, 2026-11-28 (UTC).", metavar="DATE", rich_help_panel=CHOICE
        ),
    ] = "",
    last: Annotated[
        int,
        typer.Option(
            help="The latest so many.",
            min=0,
            metavar="N",
            rich_help_panel=CHOICE,
            show_default="all",
        ),
    ] = 0,
    json_lines: Json = False,
    records: Records = None,
) -> None:
    """List models, protocols, papers with their protocols, references, metrics, detectors,
    preprocessings, gpus, tables, runs, or a model's variants and options; explain one protocol or
    reference.
    """
    from genbench.cli.console import show_explanation, show_rows
    from genbench.cli.listing import named_list, texts
    from genbench.cli.metrics import explained_metric
    from genbench.cli.protocols import (
        explained_protocol,
        explained_reference,
        list_papers,
        list_references,
    )
    from genbench.quality.known_references import find_reference
    from genbench.records.runs import RunFilter

    wanted = RunFilter(
        model=model, name=name, metric=metric, protocol=protocol, since=since, last=last
    )
    if wanted != RunFilter() and what != "runs":
        raise UsageError(f"only runs are chosen by such options: genbench ls runs, not ls {what}")
    explain = {
        "protocols": explained_protocol, "references": explained_reference,
        "metrics": explained_metric,
    }  # fmt: skip
    found = list_references(which) if which and what == "references" else []
    if len(found) > 1 or (found and find_reference(which) is None):
        what, which, lists = "", "", [found]  # a part of several names
    if which and what in explain:
        heading, lines = explain[what](which)
        if json_lines:
            print(json.dumps({"subject": heading, "lines": [list(line) for line in lines]}))
        else:
            show_explanation(heading, lines)
        return
    if which and what != "papers":
        raise UsageError(
            f"genbench ls {what} takes no second word, and {which!r} is one: leave it out"
        )
    if which:
        lists = [list_papers(which)]
    elif what:
        lists = named_list(what, lambda: wanted(read_all(records)), spec_folders(records))
    for number, rows in enumerate(lists):
        if json_lines:
            for row in rows:
                print(json.dumps(row))
        else:
            print(end="\n" if number else "")
            show_rows(texts(rows))


_Commands = dict[str, Callable[..., None]]
_PANELS: dict[str, _Commands] = {
    "Measure": {
        "fid": fid,
        "merge": merge,
        "sweep": sweep,
        "watch": watch,
        "throughput": throughput,
        "sample": sample,
        "ref": ref,
    },
    "Look at results": {
        "table": table,
        "report": report,
        "plot": plot,
        "site": site,
        "compare": compare,
        "gate": gate,
        "explain": explain,
        "bundle": bundle,
        "verify": verify,
        "reproduce": reproduce,
        "card": card,
        "delete": delete,
        "audit": audit,
    },
    "Make models": {"train": train, "distill": distill, "convert": convert, "check": check},
    "Find out": {"ls": ls, "doctor": doctor, "fetch": fetch, "schema": schema},
}
_OF_A_MODEL = (
    "fid",
    "merge",
    "sweep",
    "watch",
    "throughput",
    "sample",
    "explain",
    "gate",
    "check",
)  # which take the model's own options
_WORDS = {
    **dict.fromkeys(("fid", "merge"), "[SAMPLES [REFERENCE]] [OPTIONS]"),
    "watch": "CHECKPOINTS... [OPTIONS]",
}
for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        app.command(
            _name,
            cls=ModelCommand if _name in _OF_A_MODEL else None,
            context_settings=MODEL_OPTIONS if _name in (*_OF_A_MODEL, "convert", "fetch") else {},
            epilog=epilog(_name),
            options_metavar=_WORDS.get(_name, "[OPTIONS]"),
            rich_help_panel=_panel,
        )(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"genbench {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; every failure the user can mend is one line on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is no reason to stop
            stream.reconfigure(errors="replace")
    try:
        sys.argv[1:] = map(_with_home, sys.argv[1:])
        app(prog_name="genbench")  # under python -m and torchrun too
    except GenbenchError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RuntimeError as error:
        from genbench.runtime.out_of_memory import is_out_of_memory  # which imports torch

        if not is_out_of_memory(error):
            raise
        _fail("the device is out of memory: free some, or lower --block, or use --device cpu", 1)
    except (OSError, MemoryError) as error:
        _fail(f"{type(error).__name__}: {error}; check the path, the disk and the memory", 1)
    except SystemExit as stop:
        if stop.code == 130:
            _fail("interrupted; what was finished is kept: the same command resumes", 130)
        raise


def _with_home(word: str) -> str:
    """--cache=~/x and '~/x' as the shell would have --cache ~/x."""
    option, _, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    if not value.startswith("~/"):
        return word
    return f"{option}{'=' * bool(option)}{expanded(value)}"


def _fail(text: str, code: int) -> None:
    if os.environ.get("GENBENCH_DEBUG"):
        raise
    rank = os.environ.get("RANK", "")
    prefix = f"rank {rank}: " if rank else ""
    print("error: " + prefix + " ".join(text.split()), file=sys.stderr)
    sys.exit(code)
