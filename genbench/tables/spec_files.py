"""Where table specs lie: beside the records, in ./tables, and those that come with genbench."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from genbench.runtime.folders import tables_folder

HERE = Path("tables")  # of a user's own, in the folder they work in


def beside(records: Iterable[Path]) -> tuple[Path, ...]:
    """The folders of a user's own specs: of the record files, and ./tables."""
    return tuple(dict.fromkeys([*(path.parent for path in records), HERE]))


def spec_paths(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """The file of every table by its name: the TOML files with columns in these folders, by name,
    then in genbench's own. Of two with one name the first folder's counts."""
    found: dict[str, Path] = {}
    own = tables_folder()
    for folder in [*(folder for folder in folders if not _same(folder, own)), own]:
        for path in sorted(folder.glob("*.toml")):
            if path.stem not in found and _has_columns(path):
                found[path.stem] = path
    return found


def _same(folder: Path, other: Path) -> bool:
    return folder.is_dir() and folder.samefile(other)


def _has_columns(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and b"[[column]]" in path.read_bytes()
    return False
