"""`genbench card`: runs as a model card of the Hub."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import Records
from genbench.errors import GenbenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genbench.records.kinds import Record

# Of an explained protocol: where this machine has what, and what the table above tells.
_LEFT_OUT = ("digest", "needs", "measure", "metrics", "paper", "detector", "file")


def card(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Run (`genbench ls runs`), by id or name; or a record file."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write instead (README.md).", metavar="FILE",
                     show_default=False),
    ] = None,
    records: Records = None,
) -> None:  # fmt: skip
    """Print runs as a model card of the Hugging Face Hub: model-index metadata, then a table.

    Measured figures alone, each with protocol, digests, samples and interval. --out replaces no
    file but such a card.
    """
    from genbench.cli.console import told
    from genbench.cli.tables import read_all
    from genbench.reproducing.opening import wanted
    from genbench.runtime.files import replacing
    from genbench.tables.model_card import MARK, model_card

    found = [
        record for word in runs for record in wanted(word, lambda: read_all(records), told).records
    ]
    text = model_card(found, _explained(found))
    if out is None:
        print(text, end="")
        return
    if out.exists() and not (out.is_file() and MARK in _text_of(out)):
        raise UsageError(
            f"{out} is there and no card of genbench: write elsewhere, and put the parts together"
        )
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{len(found)} figures: {out}", file=sys.stderr)


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _explained(records: Iterable[Record]) -> dict[str, list[str]]:
    """What each protocol is, by its digest, as `genbench ls protocols NAME` says it, with the
    options that changed it; nothing for one that is not known here."""
    from genbench.cli.protocols import explained_protocol
    from genbench.records.kinds import QualityRecord
    from genbench.reproducing.protocols import recorded_protocol

    found: dict[str, list[str]] = {}
    for record in records:
        if not isinstance(record, QualityRecord) or record.protocol_digest in found:
            continue
        try:
            _, name, *changes = recorded_protocol(record).words
        except GenbenchError:
            continue
        title, facts = explained_protocol(name)
        lines = [f"{subject}: {text}" for subject, text in facts if subject not in _LEFT_OUT]
        changed = [f"changed by {shlex.join(changes)}"] if changes else []
        found[record.protocol_digest] = [title, *changed, *lines]
    return found
