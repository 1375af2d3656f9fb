"""Tables as the site has them: rows that a small script sorts and pages, and the data behind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from genbench.records.measurement import Scalar
from genbench.report.looks import Look

Line = Mapping[str, Scalar]
Content = tuple[str, bytes]  # a file's path from the site's root, and what it holds


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in a table. sort: what its column is sorted by; None: at the end either way.
    small: a second line. href: from the site's root. marks: of footnotes."""

    text: str = "–"
    sort: float | str | None = None
    small: str = ""
    href: str = ""
    marks: str = ""
    best: bool = False
    look: Look | None = None

    def packed(self) -> list[object]:
        """The cell as the script reads it, without the empty values at its end."""
        look = [self.look.number, self.look.marker] if self.look else 0
        values: list[object] = [
            self.text,
            self.sort,
            self.small,
            self.href,
            self.marks,
            int(self.best),
            look,
        ]
        while len(values) > 2 and not values[-1]:
            values.pop()
        return values


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's heading. text: whether it is set to the left. better: which end is better."""

    title: str
    note: str = ""
    text: bool = False
    better: Literal["higher", "lower", ""] = ""

    @property
    def heading(self) -> str:
        """The title with an arrow that points to better."""
        return self.title + {"higher": "\u00a0↑", "lower": "\u00a0↓", "": ""}[self.better]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table. id: path of its files from the root, without ending. ordered: the column that its
    rows are sorted by as they stand, None for none. descending: whether they are so from above.
    lines: the data behind, a number a line."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    lines: Sequence[Line]
    ordered: int | None = None
    descending: bool = False
    notes: Sequence[str] = ()
    footnotes: Sequence[tuple[str, str]] = field(default=())  # mark and text

    def files(self) -> Iterator[Content]:
        """The rows for the script, and the data as JSON and CSV."""
        packed = [[cell.packed() for cell in row] for row in self.rows]
        call = f"genbenchRows({_json(self.id)}, {_json(packed)});\n"
        yield f"{self.id}.js", call.encode()
        yield from data_files(self.id, self.lines)


def data_files(id: str, lines: Sequence[Line]) -> Iterator[Content]:
    """Lines of data as a JSON and a CSV file, every digit kept."""
    text = ",\n".join(_json(line) for line in lines)
    yield f"{id}.json", f"[\n{text}\n]\n".encode()
    names = list(dict.fromkeys(name for line in lines for name in line))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(lines)
    yield f"{id}.csv", out.getvalue().encode(errors="replace")


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()  # names of files may be no text
