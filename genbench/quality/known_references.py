"""Published statistics files by name: read from tables/references.toml, found in the cache."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.runtime.folders import cache_folder, tables_folder
from genbench.runtime.validated import read_toml, validated
from genbench.weights.files import WeightFile, expected_of

_ANY = "*"  # in a name: of files that are named by a pattern
_IN_NAMES = frozenset(string.ascii_lowercase + string.digits + "_-")


@dataclass(frozen=True, kw_only=True)
class KnownReference:
    """A statistics file that its authors published, as far as their code and pages tell.

    name: as `--ref` takes it, PUBLISHER:FILE. One with "*" stands for all files of that pattern,
    and so do its file and the end of its address. detectors: whose features its statistics are of,
    each with the preprocessing that came before ("": the detector's own). holds: layer by layer, in
    words.
    """

    name: str
    title: str
    url: str = ""  # empty: only inside of another download
    file: str
    format: Literal["adm", "edm", "edm2", "clean-fid", "mu-sigma"]
    detectors: dict[str, str]
    holds: str
    resolution: int = 0  # of the images; 0: the name tells, or nobody
    pictures: str  # of which data, cropped and shrunk how
    images: int = 0  # behind the statistics; 0: not known
    sha256: str = ""  # as its authors, or several projects, give it; empty: nobody does
    megabytes: int = 0  # about; 0: not known
    aliases: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()  # whose numbers rest on it
    remarks: tuple[str, ...] = ()
    source: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file:
            raise GenbenchError(f"{self.file} must be a bare file name: correct it")

    @property
    def place(self) -> Path:
        """Where the file lies on this machine, once somebody put it there."""
        return cache_folder() / "references" / self.file

    @property
    def here(self) -> bool:
        """Whether the file is on this machine; of a pattern, any of its files."""
        if _ANY not in self.file:
            return self.place.is_file()
        return next(self.place.parent.glob(self.file), None) is not None

    @property
    def published(self) -> WeightFile | None:
        """The file as it is fetched; None without an address, and of a pattern."""
        if not self.url or _ANY in self.file:
            return None
        return WeightFile(
            filename=self.file, url=self.url, sha256=self.sha256, published_at=self.url,
            megabytes=self.megabytes, kept="references",
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) that the file must have: published, or pinned when it was fetched;
        empty: neither."""
        return expected_of(self.published).sha256 if self.published else self.sha256

    @property
    def how_to_get(self) -> str:
        """Where to have it and where to put it, for errors and check-ups."""
        size = f" (~{self.megabytes} MB)" if self.megabytes else ""
        if not self.url:
            return f"copy {self.file} from {self.source} and put it at {self.place}"
        start = "" if _ANY in self.file else f"genbench fetch {self.name} brings it, or "
        return f"{start}download {self.url}{size} and put it at {self.place}"


@cache
def _shipped() -> dict[str, KnownReference]:
    return load_references(tables_folder() / "references.toml")


def load_references(path: Path | None = None) -> dict[str, KnownReference]:
    """Every published reference by name. Raises GenbenchError naming what is wrong in the file."""
    if path is None:
        return _shipped()
    tables = read_toml(path)
    for name, table in tables.items():
        if isinstance(table, dict):
            tables[name] = {"name": name} | table
    return validated(tables, dict[str, KnownReference], name=path)


def reference_named(spec: str) -> KnownReference | None:
    """The published file of that name or alias; None for other words."""
    known = load_references().values()
    return next((item for item in known if spec == item.name or spec in item.aliases), None)


def find_reference(spec: str) -> KnownReference | None:
    """The published file that `spec` names: by name, by an alias or by a pattern; None for other
    words, such as paths. Raises UsageError for a publisher's name with no such file after it."""
    if found := reference_named(spec):
        return found
    publisher, _, rest = spec.partition(":")
    names = [name for name in load_references() if name.startswith(f"{publisher}:")]
    if not (rest and names):
        return None
    for pattern in (load_references()[name] for name in names if _ANY in name):
        if fnmatchcase(spec, pattern.name) and set(rest) <= _IN_NAMES:
            file = rest + Path(pattern.file).suffix
            url = f"{pattern.url.rpartition('/')[0]}/{file}"
            return replace(pattern, name=spec, url=url, file=file)
    raise UsageError(
        f"no published reference is named {spec}; {suggestion(spec, names)} (`genbench ls "
        "references` lists them)"
    )


def reference_path(spec: str) -> str:
    """`spec`, or where the published reference of that name lies.

    Raises GenbenchError naming the address of a published file that is not here: the authors of
    most give no digest to check a download against, so only who asks has one fetched.
    """
    known = find_reference(spec)
    if known is None or Path(spec).exists():
        return spec
    if known.place.is_file():
        return str(known.place)
    raise GenbenchError(
        f"reference {known.name} is not here: {known.how_to_get}, or pass --ref FILE; offline, "
        "--protocol bundled needs no download"
    )
