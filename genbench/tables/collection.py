"""The tables of a report: what no spec names, then a user's own, genbench's, and the papers'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.runtime.folders import tables_folder
from genbench.tables.build import Table, build_table
from genbench.tables.from_records import RecordsTable, table_of_records
from genbench.tables.published import load_published
from genbench.tables.spec_files import spec_paths
from genbench.tables.specs import at_count, read_spec


def all_tables(
    records: Sequence[Record], folders: Sequence[Path] = (), samples: int = 0
) -> list[Table]:
    """Every table there is a spec of. The table of what is on record leads them where it has a row
    that no other shows, such as a model that no spec names.

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
    tables = [*users, *own, *papers]
    return [*_unseen(records, tables), *tables]


def _unseen(records: Sequence[Record], tables: Sequence[Table]) -> list[Table]:
    """The table of what is on record, if others lack one of its rows."""
    if not records:
        return []
    shown = {id(cell.measured) for table in tables for row in table.rows for cell in row.cells}
    found = table_of_records(records, RecordsTable())
    measured = [[cell.measured for cell in row.cells if cell.measured] for row in found.rows]
    lacking = any(not any(id(record) in shown for record in row) for row in measured)
    return [found] if lacking else []
