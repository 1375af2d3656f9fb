"""The folder of a site: each file whole, nothing of anybody else's touched."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from genbench.errors import GenbenchError, UsageError
from genbench.runtime.files import TEMPORARY, write_error

LIST = "files.json"  # what the site wrote: so that the next one removes what it no longer has
_FORMAT = {"written_by": "genbench site", "format": 1}


def refuse_other(out: Path) -> None:
    """Before any work: raises UsageError for what is no folder, and for a folder with something
    else in it than a site. Names that begin with a dot (.git, .nojekyll) do not count."""
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is no folder: name one, or a new one")
    try:
        there = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise GenbenchError(f"cannot read {out}: {error.strerror}; check the path") from error
    if there and _listed(out) is None:
        raise UsageError(
            f"--out {out} holds something else than a site ({there[0]}): name an empty or a new "
            "folder"
        )


def write_folder(out: Path, files: Iterable[tuple[str, bytes | Path]]) -> int:
    """Write files, by their paths in `out`; those of an earlier site that are not among them go.

    Content may be a file to copy. All are written beside their places first and then moved, in the
    order given; files that no site wrote stay. Returns how many were written. Raises GenbenchError
    for a full disk and a folder that cannot be written.
    """
    before = set(_listed(out) or ())
    names: dict[str, None] = {}
    temporary, new = None, not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".site.", suffix=TEMPORARY, dir=out))
        for name, content in files:
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_bytes(content)
            names[name] = None
        told = json.dumps({**_FORMAT, "files": [*names, LIST]}, indent=0)
        (temporary / LIST).write_text(told + "\n", encoding="utf-8")
        for folder in {(out / name).parent for name in names}:
            folder.mkdir(parents=True, exist_ok=True)
        for name in (LIST, *names):  # the list first: what is not finished is still known as ours
            os.replace(temporary / name, out / name)
        _remove(out, before - {*names, LIST})
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if new and not names:
            with suppress(OSError):  # there never was one
                out.rmdir()
    return len(names) + 1


def _remove(out: Path, names: Iterable[str]) -> None:
    """Files of an earlier site, and the folders that they leave empty."""
    folders = set()
    for name in names:
        (out / name).unlink(missing_ok=True)
        folders |= {out / parent for parent in PurePosixPath(name).parents} - {out}
    for folder in sorted(folders, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _listed(out: Path) -> list[str] | None:
    """The files that an earlier site wrote, those inside its folder; None where there is none."""
    try:
        told = json.loads((out / LIST).read_text(encoding="utf-8"))
        if told["written_by"] != _FORMAT["written_by"]:
            return None
        names = [name for name in told["files"] if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [name for name in names if _inside(name)]


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
