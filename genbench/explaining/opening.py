"""The words of `genbench explain` as two sides, and what cannot be had here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from genbench.errors import GenbenchError, UsageError
from genbench.explaining.adapted import adapted
from genbench.explaining.sides import Side
from genbench.images.rounding import Rounding
from genbench.metrics.metric import Metric
from genbench.quality.references import open_reference
from genbench.quality.source import Source
from genbench.records.protocols import EvalProtocol, load_protocols


@dataclass(frozen=True, kw_only=True)
class End:
    """What is asked of one end. source: opens its samples; files: what they are called. reference:
    empty for the protocol's own. count: 0 for the protocol's largest."""

    protocol: EvalProtocol
    source: Callable[[], Source]
    files: str
    reference: str = ""
    count: int = 0
    jpeg: int = 0
    weights: Path | None = None


def opened_ends(
    start: End, end: End, metric: Metric, *, was: str, detector: str
) -> tuple[Side, Side, tuple[str, ...]]:
    """Both ends ready to be measured, and a line for each part that is left out.

    was: how the samples were rounded to uint8, empty where nobody knows. detector: takes the place
    of both protocols', empty for their own. What only one end can have is left out of both. Raises
    UsageError for a rounding there is not and for protocols without any reference that is here.
    """
    if was and was not in get_args(Rounding):
        raise UsageError(f"--rounding {was}: one of {', '.join(get_args(Rounding))}")
    left_out: list[str] = []
    protocols = []
    for one in (start, end):
        protocol, lacking = _with_detector(one.protocol, detector)
        protocols.append(protocol)
        left_out += lacking
    if left_out:  # what one end cannot do, neither does
        protocols = [replace(one, preprocessing="", logits_bias=False) for one in protocols]
    sources = [one.source() for one in (start, end)]
    references = ["", ""]
    if metric.needs_reference:
        references = _references((start, end), protocols, sources, left_out)
    counts = _counts((start, end), protocols, sources, left_out)
    roundings: list[str] = [protocol.rounding for protocol in protocols]
    if was and not all(roundings):
        silent = " and ".join(one.name for one in protocols if not one.rounding)
        left_out.append(f"rounding to uint8: {silent} does not say how to round")
    if not was and all(roundings) and roundings[0] != roundings[1]:
        left_out.append(
            f"rounding to uint8 ({roundings[0]} → {roundings[1]}): the samples are as they are; "
            "--rounding says how they were rounded, and brings this step"
        )
    if not was or not all(roundings):
        roundings = [was, was]
    first, second = (
        Side(
            protocol=protocol, source=source, files=one.files,
            count=count, reference=reference, was=cast(Rounding, was) if was else None,
            rounding=cast(Rounding, rounding) if rounding else None, jpeg=one.jpeg,
            weights=one.weights,
        )
        for one, protocol, source, reference, count, rounding in zip(
            (start, end), protocols, sources, references, counts, roundings, strict=True
        )
    )  # fmt: skip
    return first, second, tuple(left_out)


def further_sides(side: Side, metric: Metric, detector: str = "") -> Iterator[Side]:
    """The same samples under every other protocol of that detector and metric, as far as its
    reference is here. detector: in place of the protocols'."""
    for protocol in load_protocols().values():
        if metric.key not in protocol.metrics or not _alike(protocol, side.protocol, detector):
            continue
        if detector:
            protocol, lacking = _with_detector(protocol, detector)
            if lacking:
                continue
        try:
            reference = _usable(protocol, protocol.reference, side.source)
        except GenbenchError:
            continue
        count = min(max(protocol.counts), side.source.count or max(protocol.counts))
        yield replace(
            side, protocol=protocol, reference=reference or side.reference, count=count, jpeg=0
        )


def _with_detector(protocol: EvalProtocol, detector: str) -> tuple[EvalProtocol, tuple[str, ...]]:
    if not detector or detector == protocol.detector:
        return protocol, ()
    return adapted(protocol, detector)


def _alike(protocol: EvalProtocol, other: EvalProtocol, detector: str) -> bool:
    """Whether two protocols measure with one detector."""
    return bool(detector) or protocol.detector == other.detector


def _references(
    ends: tuple[End, End], protocols: list[EvalProtocol], sources: list[Source],
    left_out: list[str],
) -> list[str]:  # fmt: skip
    """The reference of each end; where one is not here, the other's for both."""
    found: list[str] = []
    missing: list[str] = []
    for one, protocol, source in zip(ends, protocols, sources, strict=True):
        wanted = one.reference or protocol.reference
        try:
            found.append(_usable(protocol, wanted, source))
        except GenbenchError as error:
            if one.reference:  # the user's own
                raise
            found.append("")
            missing.append(f"{wanted} of {protocol.name} {_why(error)}")
    there = [reference for reference in found if reference]
    if not there:
        told = "; ".join(missing) or "neither protocol names a reference"
        raise UsageError(f"{told}: pass --ref, such as --ref bundled")
    left_out += [f"reference: {reason}: both ends take {there[0]}" for reason in missing]
    own = [protocol.reference for protocol in protocols]
    if ends[0].reference == ends[1].reference != "" and own[0] != own[1]:
        between = " → ".join(reference or "none" for reference in own)
        left_out.append(f"reference ({between}): both take {ends[0].reference}, as was asked")
    return [reference or there[0] for reference in found]


def _why(error: GenbenchError) -> str:
    """Why a protocol's reference cannot be used, in few words where it is not here."""
    told = str(error)
    return "is not here (`genbench doctor` says how to get it)" if "not here" in told else told


def _usable(protocol: EvalProtocol, reference: str, source: Source) -> str:
    """The reference, if it can be opened for samples of that size; empty for none."""
    if reference:
        open_reference(reference, crop=protocol.crop, size=source.size, detector=protocol.detector)
    return reference


def _counts(
    ends: tuple[End, End], protocols: list[EvalProtocol], sources: list[Source],
    left_out: list[str],
) -> list[int]:  # fmt: skip
    wanted = [
        one.count or max(protocol.counts)
        for one, protocol in zip(ends, protocols, strict=True)
    ]  # fmt: skip
    limits = [source.count for source in sources]
    most = min((limit for limit in limits if limit is not None), default=max(wanted))
    for one in ends:
        if one.count > most:
            raise UsageError(f"there are {most:,} samples, not {one.count:,}: ask for less")
    if wanted[0] != wanted[1] and max(wanted) > most:
        left_out.append(
            f"sample count ({wanted[0]:,} → {wanted[1]:,}): there are {most:,} samples; --from-n "
            "and --to-n choose smaller counts"
        )
    return [min(count, most) for count in wanted]
