"""The tables of a report: a user's own, genbench's, and the papers'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.runtime.folders import tables_folder
from genbench.tables.build import build_table
from genbench.tables.cells import Table
from genbench.tables.published import load_published
from genbench.tables.spec_files import spec_paths
from genbench.tables.specs import at_count, read_spec


def all_tables(
    records: Sequence[Record], folders: Sequence[Path] = (), samples: int = 0
) -> list[Table]:
    """Every table there is a spec of.

    folders: of a user's specs. samples: another count for genbench's tables that print no paper's.
    """
    published, protocols = load_published(), load_protocols()
    users: list[Table] = []
    own: list[Table] = []
    papers: list[Table] = []
    for path in spec_paths(folders).values():
        spec = read_spec(path)
        shipped = path.parent == tables_folder()
        ours = not any(row.published for row in spec.rows)
        if samples and shipped and ours:
            spec = at_count(spec, samples)
        built = build_table(spec, published, records, protocols)
        (papers if shipped and not ours else own if shipped else users).append(built)
    return [*users, *own, *papers]
