"""A protocol with another detector in its place, as far as that one can do likewise."""

from __future__ import annotations

from dataclasses import replace

from genbench.detectors.published_preprocessing import PREPROCESSINGS
from genbench.detectors.registry import check_choices, preprocessings_of
from genbench.errors import GenbenchError, UsageError
from genbench.records.protocols import EvalProtocol


def adapted(protocol: EvalProtocol, detector: str) -> tuple[EvalProtocol, tuple[str, ...]]:
    """The protocol, starred, with `detector` and its way to resize as this protocol does; and a
    line for what it cannot do likewise, which is left as the detector does it. Raises UsageError
    for an unknown detector."""
    left: list[str] = []
    name = ""
    wanted = _resize_of(protocol)
    alike = [item for item in preprocessings_of(detector) if PREPROCESSINGS[item].resize == wanted]
    if alike:
        name = alike[0]
    elif protocol.preprocessing:
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


def _resize_of(protocol: EvalProtocol) -> object:
    """How the protocol's own detector has images resized; None where that is not known by name."""
    if protocol.preprocessing:
        return PREPROCESSINGS[protocol.preprocessing].resize
    try:
        own = preprocessings_of(protocol.detector)
    except GenbenchError:  # the package of the protocol's detector is not installed
        return None
    return PREPROCESSINGS[own[0]].resize if own else None
