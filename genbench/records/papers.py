"""Which protocol the numbers of a paper are of, as far as anybody can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.records.protocols import load_protocols
from genbench.runtime.folders import tables_folder
from genbench.runtime.validated import read_toml, validated


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """A paper of tables/papers.toml: its protocol is none that genbench has, or is not known."""

    figures: str
    known: str  # what is known of how they were measured
    reference: str = ""  # name of its published reference, where there is one
    source: str


@dataclass(frozen=True, kw_only=True)
class PaperFigures:
    """Figures of a paper and how they were measured. protocol: empty where it is none of
    genbench's, or not known; note says which."""

    paper: str
    figures: str
    protocol: str
    reference: str
    note: str = ""


def load_papers(path: Path | None = None) -> list[PaperFigures]:
    """The figures of every paper that a protocol names, then of those that none does, by name.

    Raises GenbenchError naming what is wrong in either file.
    """
    found = []
    for protocol in load_protocols().values():
        for entry in protocol.papers:
            paper, colon, figures = entry.partition(": ")
            if not colon:
                raise GenbenchError(f"{protocol.name}: papers {entry!r} says of no figures")
            found.append(
                PaperFigures(
                    paper=paper, figures=figures, protocol=protocol.name,
                    reference=protocol.reference,
                )
            )  # fmt: skip
    path = path or tables_folder() / "papers.toml"
    content = read_toml(path)
    content.pop("titles", None)
    others = validated(content, dict[str, Unmatched], name=path)
    found += [
        PaperFigures(paper=paper, figures=other.figures, protocol="", reference=other.reference,
                     note=f"{other.known} ({other.source})")
        for paper, other in others.items()
    ]  # fmt: skip
    return sorted(found, key=lambda item: (item.paper.lower(), item.figures))


def load_titles(path: Path | None = None) -> dict[str, str]:
    """The titles of papers by what they are called here. Raises GenbenchError for anything else."""
    path = path or tables_folder() / "papers.toml"
    return validated(read_toml(path).get("titles", {}), dict[str, str], name=f"{path}: titles")
