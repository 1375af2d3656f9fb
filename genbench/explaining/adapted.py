"""A protocol with another detector in its place, as far as that one can do likewise."""

from __future__ import annotations

from dataclasses import replace

from genbench.detectors.published_preprocessing import resized_alike
from genbench.detectors.registry import check_choices, preprocessings_of
from genbench.errors import GenbenchError, UsageError
from genbench.records.protocols import EvalProtocol


def adapted(protocol: EvalProtocol, detector: str) -> tuple[EvalProtocol, tuple[str, ...]]:
    """The protocol, starred, with `detector` and its way to resize as this protocol does; and a
    line for what it cannot do likewise, which is left as the detector does it. Raises UsageError
    for an unknown detector."""
    left: list[str] = []
    wanted = protocol.preprocessing or _own(protocol.detector)
    name = resized_alike(wanted, preprocessings_of(detector)) if wanted else ""
    if not name and protocol.preprocessing:
        left.append(
            f"resize ({protocol.preprocessing} of {protocol.name}): {detector} does not take it"
        )
    bias = protocol.logits_bias
    if bias:
        try:
            check_choices(detector, logits_bias=True)
        except UsageError:
            bias = False
            left.append(f"bias of the classifier (of {protocol.name}): {detector} has no choice")
    changed = replace(
        protocol, name=f"{protocol.name}*", detector=detector, preprocessing=name, logits_bias=bias
    )
    return changed, tuple(left)


def _own(detector: str) -> str:
    """How a detector prepares images by itself; empty where that has no name."""
    try:
        return next(iter(preprocessings_of(detector)), "")
    except GenbenchError:  # its package is not installed
        return ""
