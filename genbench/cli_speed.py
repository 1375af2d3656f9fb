"""`genbench throughput` and `genbench audit`: how fast, and what the papers say of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from genbench.cli_options import Json


def audit(
    name: Annotated[str, typer.Argument(help="adm-table7 or adm-table10.")],
    json_lines: Json = False,
) -> None:
    """Recompute what a paper's table derives, beside what it prints. Exits 1 when they differ."""
    from dataclasses import asdict

    from genbench import audits
    from genbench.console import show_rows, stdout

    found = audits.audit(name)
    if json_lines:
        for row in found.rows:
            print(json.dumps({"audit": name, **asdict(row), "agrees": row.agrees}))
    else:
        stdout.print(f"{found.title} ({found.source})", markup=False, highlight=False)
        show_rows(
            [
                {
                    "row": row.row,
                    "quantity": row.quantity,
                    "recomputed": f"{row.recomputed:.2f}",
                    "published": f"{row.published:g}",
                    "agrees": "yes" if row.agrees else "NO",
                    "from": row.how,
                }
                for row in found.rows
            ]
        )
        stdout.print(f"note: {found.note}", markup=False, highlight=False, soft_wrap=True)
    if not found.agrees:
        raise typer.Exit(1)
