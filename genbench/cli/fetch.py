"""`genbench fetch`: published files brought to this machine, their sizes first."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli import completion
from genbench.cli.options import Json, Resolution
from genbench.errors import UsageError

if TYPE_CHECKING:
    from genbench.fetching.needs import Needs
    from genbench.fetching.plan import Planned
    from genbench.models.opening import ResolvedModel
    from genbench.records.protocols import EvalProtocol
    from genbench.runtime.distributed import World

Yes = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Fetch published files that are missing, without asking.",
        rich_help_panel="How to compute",
    ),
]  # fmt: skip


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="A model's variant, a detector, a reference, a protocol, a URL, or "
            "hf:OWNER/REPO/FILE@REVISION. After a model, its own options, such as --upsample.",
            autocompletion=completion.fetched,
            show_default=False,
        ),
    ] = None,
    res: Resolution = 0,
    table: Annotated[
        str,
        typer.Option(
            help="All that measuring this table needs.", metavar="NAME",
            autocompletion=completion.tables, show_default=False,
        ),
    ] = "",
    listed: Annotated[
        bool,
        typer.Option("--list", help="Fetch nothing: say what is here, what is missing, how large."),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder to fetch to, for a machine without a network (its GENBENCH_MIRROR).",
            metavar="FOLDER", show_default="the cache",
        ),
    ] = None,
    json_lines: Json = False,
) -> None:  # fmt: skip
    """Fetch published files: weights, references, all that a table needs.

    Shows the sizes first, resumes what broke off, and holds each file against its published digest,
    or pins that of the first download. --list without a name lists everything, without a network.
    """
    from genbench.cli.console import show_rows
    from genbench.fetching.needs import everything
    from genbench.fetching.plan import check_room, planned

    if not (names or table or listed):
        raise UsageError(
            "name what to fetch, such as adm-128 or --table adm-quality; genbench fetch --list "
            "lists everything"
        )
    needs = _named(names or [], res, table) if names or table else everything()
    plan = planned(needs.files, to=to, ask=bool(names or table))
    if json_lines and listed:
        for item in plan:
            print(json.dumps(_row(item)))
        return
    if not json_lines:
        if plan:
            show_rows([_shown(item) for item in plan])
            if any(_row(item)["digest"] == "pinned" for item in plan):
                print("* pinned when it was first fetched")
            if any(_row(item)["digest"] == "at first use" for item in plan):
                print(
                    "without a SHA-256: nobody publishes it; that of the first download is pinned"
                )
        for problem in dict.fromkeys(item.problem for item in plan if item.problem):
            print(f"sizes are estimates or missing: {problem}")
        for note in needs.notes:
            print(f"not to be fetched: {note}")
        print(in_total(plan, to))
    if listed:
        return
    check_room(plan, to)
    words = [*(names or []), *(["--table", table] if table else [])]
    words += ["--res", str(res)] if res else []
    _fetched(plan, to, shlex.join(["genbench", "fetch", *words]), json_lines=json_lines)


def fetch_first(
    world: World, models: Sequence[ResolvedModel | None], protocol: EvalProtocol | None, *,
    reference: str = "", own_detector: bool = False, yes: bool,
) -> None:  # fmt: skip
    """`fetch_for_run` for each model, None for images that are there, in the first process; the
    others wait."""
    if world.leads:
        for model in models:
            fetch_for_run(model, protocol, reference=reference, own_detector=own_detector, yes=yes)
    world.barrier()


def fetch_for_run(
    model: ResolvedModel | None, protocol: EvalProtocol | None, *, reference: str = "",
    own_detector: bool = False, yes: bool,
) -> None:  # fmt: skip
    """Fetch what drawing and measuring need and lack, once the user agrees: by `yes`, or on a
    terminal. protocol: None: nothing is measured.

    Detectors' weights alone are fetched on first use as ever. Raises UsageError where nobody can be
    asked, GenbenchError for what cannot be fetched.
    """
    from genbench.fetching.needs import of_run
    from genbench.fetching.plan import check_room, planned

    needs = of_run(model, protocol, reference=reference, own_detector=own_detector)
    lacking = [item for item in planned(needs.files, ask=False) if item.here is None]
    if all(item.wanted.what.startswith("detector ") for item in lacking):
        return
    command = _command(model, lacking)
    if not (yes or sys.stdin.isatty()):
        raise UsageError(_refusal(lacking, command))
    plan = planned([item.wanted for item in lacking], ask=True)
    for item in plan:
        size = f", {_megabytes(item)} MB" if item.size else ""
        print(f"{item.wanted.what}: {item.wanted.file.url}{size}", file=sys.stderr)
    print(in_total(plan, None), file=sys.stderr)
    if not yes:
        typer.confirm("Fetch them?", abort=True, err=True)
    check_room(plan)
    _fetched(plan, None, command, out=sys.stderr)


def _command(model: ResolvedModel | None, lacking: Sequence[Planned]) -> str:
    """The command line that fetches what a measurement lacks."""
    whats = [item.wanted.what for item in lacking]
    others = [what.partition(" ")[2] for what in whats if what.startswith(("detector ", "referen"))]
    words = ["genbench", "fetch"]
    if model and len(others) < len(whats):
        words.append(model.card.name)
    words += others
    if model and model.card.name in words:
        for key, text in model.request.options.items():
            words += [f"--{key}", text]
    return " ".join(map(shlex.quote, words))


def _refusal(lacking: Sequence[Planned], command: str) -> str:
    """One line for who cannot be asked."""
    first = next(item for item in lacking if not item.wanted.what.startswith("detector "))
    file = first.wanted.file
    others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    size = sum(item.to_come for item in lacking)
    about = f" (~{size / 1e6:,.0f} MB or more)" if size else ""
    own = "" if first.wanted.what.startswith("reference ") else ", or your own --checkpoint PATH"
    return (
        f"{first.wanted.what}, published at {file.url},{others} must be fetched first{about}: pass "
        f"--yes{own}, or run {command}"
    )


def in_total(plan: Sequence[Planned], to: Path | None) -> str:
    """One line on a plan: how many bytes are to come, and where they go."""
    from genbench.fetching.plan import free_bytes
    from genbench.runtime.folders import cache_folder

    folder = to or cache_folder()
    missing = [item for item in plan if item.here is None]
    unknown = sum(item.size is None for item in missing)
    about = "" if all(item.exact for item in missing) else "about "
    further = f", and {unknown} of unknown size" if unknown else ""
    here = sum(item.size or 0 for item in plan if item.here is not None)
    free, coming = free_bytes(folder), sum(item.to_come for item in plan)
    lacks = f", {(coming - free) / 1e6:,.0f} MB too little" if coming > free else ""
    return (
        f"{len(missing)} to fetch, {about}{coming / 1e6:,.0f} MB"
        f"{further}; {len(plan) - len(missing)} here, {here / 1e6:,.0f} MB; {folder} has "
        f"{free / 1e6:,.0f} MB free{lacks}"
    )


def _named(words: Sequence[str], resolution: int, table: str) -> Needs:
    from genbench.cli.tables import spec_folders
    from genbench.fetching.needs import is_model, of_name, of_table, pairs, together
    from genbench.tables.specs import load_spec

    first = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    options = pairs(words[first:])
    if options and not any(map(is_model, words[:first])):
        raise UsageError(f"--{next(iter(options))} is a model's option: name the model before it")
    parts = [of_name(name, resolution=resolution, options=options) for name in words[:first]]
    if table:
        parts.append(of_table(load_spec(table, spec_folders(None))))
    return together(parts)


def _row(item: Planned) -> dict[str, Any]:
    """A file as JSON has it. digest: published, pinned, or pinned when it is first fetched."""
    from genbench.weights.files import expected_of

    file = item.wanted.file
    expected = expected_of(file)
    return {
        "for": item.wanted.what, "file": file.filename, "url": file.url,
        "bytes": item.size, "estimated": not item.exact, "status": _state(item),
        "here": str(item.here or ""), "sha256": expected.sha256,
        "digest": ("pinned" if expected.whence else "published") if expected.sha256
        else "at first use", "problem": item.problem,
    }  # fmt: skip


def _shown(item: Planned) -> dict[str, str]:
    """A file as a terminal shows it."""
    row = _row(item)
    pinned = "*" if row["digest"] == "pinned" else ""
    return {
        "for": row["for"], "MB": _megabytes(item), "status": row["status"],
        "SHA-256": f"{row['sha256'][:8]}{pinned}",
    }  # fmt: skip


def _state(item: Planned) -> str:
    if item.here:
        return "here"
    if item.part and item.size:
        return f"{item.part * 100 // item.size}% here"
    return "missing"


def _megabytes(item: Planned) -> str:
    if item.size is None:
        return ""
    return f"{'' if item.exact else '~'}{item.size / 1e6:,.0f}"


def _fetched(
    plan: Sequence[Planned], to: Path | None, command: str, *, json_lines: bool = False,
    out: Any = None,
) -> None:  # fmt: skip
    """Fetch, and say of each file where it is and what its digest is. command: `genbench fetch` of
    these. Raises GenbenchError when one failed."""
    from genbench.cli.fetch_failures import failure
    from genbench.fetching.carrying import fetch_all
    from genbench.runtime.progress_bars import ProgressBars

    outcomes = fetch_all(plan, reporter=ProgressBars(leads=True), to=to)
    for outcome in outcomes:
        name = outcome.planned.wanted.file.filename
        if json_lines:
            print(json.dumps({
                "file": name, "path": str(outcome.path or ""), "sha256": outcome.sha256,
                "error": outcome.error,
            }))  # fmt: skip
        elif outcome.path:
            print(f"{outcome.path}  SHA-256 {outcome.sha256}", file=out)
    if failed := [outcome for outcome in outcomes if outcome.error]:
        raise failure(failed, len(plan), command)
