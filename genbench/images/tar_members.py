"""What lies where in a tar, read from its headers alone; nothing is ever unpacked to the disk."""

from __future__ import annotations

import posixpath
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.images.named_pictures import is_side_file
from genbench.runtime.files import refuse_special

_BLOCK = 512
_REST = 1 << 20  # bytes read at once of what follows the end mark
_COMPRESSED = {
    b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tar: its name ("./a" is "a"), and its bytes' place in the tar."""

    name: str
    offset: int
    size: int


def tar_members(path: Path) -> Iterator[Member]:
    """The files of a tar in their order, those that systems leave behind passed over.

    Raises GenbenchError for a tar that is compressed, damaged, cut short or followed by another,
    and for links and sparse files.
    """
    refuse_special(path)
    _refuse_compressed(path)
    files: dict[str, Member] = {}  # what a hard link, the second name of a file, leads to
    try:
        with tarfile.open(path, "r:") as archive:
            while info := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # every header is kept
                if info.isdir():
                    continue
                name = posixpath.normpath(info.name)
                if info.islnk() and (target := files.get(posixpath.normpath(info.linkname))):
                    member = Member(name, target.offset, target.size)
                elif not info.isreg() or info.issparse():
                    raise GenbenchError(
                        f"{path}:{name} is a link, a device or a file with holes: make the tar "
                        "again with tar -h --format=pax"
                    )
                else:
                    member = Member(name, info.offset_data, info.size)
                files[name] = member
                if not is_side_file(name):
                    yield member
            _check_end(path, archive.offset)
    except (tarfile.TarError, EOFError, ValueError, struct.error, OverflowError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error


def _damaged(path: Path, reason: str) -> GenbenchError:
    return GenbenchError(f"{path} is damaged or no tar ({reason}): copy or make it again")


def _refuse_compressed(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise GenbenchError(f"cannot read {path}: {error.strerror}; check the path") from error
    for magic, program in _COMPRESSED.items():
        if head.startswith(magic):
            raise GenbenchError(
                f"{path} is compressed, so that no picture can be read without all before it: "
                f"unpack it with {program} first (pictures are compressed themselves)"
            )


def _check_end(path: Path, offset: int) -> None:
    """Raises GenbenchError unless a mark of zeros ends the tar and nothing comes behind: tarfile
    takes a damaged header and the end of the file for the end too."""
    with path.open("rb") as file:
        file.seek(offset)
        mark = file.read(_BLOCK)
        if len(mark) < _BLOCK:
            raise _damaged(path, "it is cut short: its end mark is missing")
        if any(mark):
            raise _damaged(path, f"no header at byte {offset}")
        while rest := file.read(_REST):
            if any(rest):
                raise GenbenchError(
                    f"{path} goes on behind its end mark, as joined tars do: name the tars "
                    "one by one, as 'part-{0..3}.tar' or a folder of them"
                )
