"""The protocol that a figure was published or measured under, and whether two figures compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from genbench.errors import GenbenchError, suggestion
from genbench.records.protocols import EvalProtocol

_UNKNOWN, _OWN = "unknown:", "own:"
# same: one protocol; other: two that do not compare; unknown: nobody can say; empty: there is
# nothing to compare.
Relation = Literal["same", "other", "unknown", ""]


@dataclass(frozen=True)
class Basis:
    """A protocol as a table tells it. key: equal for figures that compare. name: within a sentence.
    text: a line of the legend. known: False where nobody knows which protocol it is."""

    key: str
    name: str
    text: str
    known: bool = True
    detector: str = ""  # empty where it is not known


def measured_basis(protocol: EvalProtocol) -> Basis:
    """The protocol of genbench that a figure was measured under."""
    reference = protocol.reference or "the images --ref names"
    text = f"protocol {protocol.name}: {protocol.detector}, reference {reference}"
    return Basis(protocol.digest(), protocol.name, text, detector=protocol.detector)


def published_basis(stated: str, protocols: Mapping[str, EvalProtocol]) -> Basis:
    """The protocol of a published figure, as a spec states it: one of genbench by name, "own: …"
    for one that genbench lacks, "unknown: REASON", or nothing.

    Raises GenbenchError for anything else.
    """
    if stated in protocols:
        return measured_basis(protocols[stated])
    words = stated.partition(":")[2].strip()
    if stated.startswith(_OWN) and words:
        return Basis(stated, f"the paper's own protocol ({words})", f"the paper's own: {words}")
    if (stated.startswith(_UNKNOWN) and words) or not stated:
        reason = words or "the table's spec does not say"
        # The reason is told of the published figure itself.
        return Basis(stated, "an unknown protocol", f"protocol unknown: {reason}", known=False)
    raise GenbenchError(
        f"published_protocol {stated}: name a protocol ({suggestion(stated, protocols)}), or say "
        '"own: WHAT THE PAPER DID", or "unknown: WHY"'
    )


def relation(published: Basis | None, measured: Basis | None) -> Relation:
    """Whether a published and a measured figure of one cell compare."""
    if published is None or measured is None:
        return ""
    if not published.known:
        return "unknown"
    return "same" if published.key == measured.key else "other"
