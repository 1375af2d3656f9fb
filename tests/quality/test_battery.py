"""Several encoders judge together: those that are here, and what is said of the others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from genbench.errors import UsageError
from genbench.quality import battery as module
from genbench.quality.battery import ENCODERS, battery, in_words
from genbench.runtime.progress import SilentReporter


def test_encoders_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"inception": "", "efficientnet-lite0": ""}
    monkeypatch.setattr(
        module, "detector_status",
        lambda name: SimpleNamespace(usable=name in here, reason=f"get {name}"),
    )  # fmt: skip
    reporter = SilentReporter()
    assert battery(reporter) == ["inception", "efficientnet-lite0"]
    assert len(reporter.notes) == len(ENCODERS) - 2
    assert "get dinov2-vit-l-14" in reporter.notes[0]
    here.clear()
    with pytest.raises(UsageError, match="none is here"):
        battery(reporter)


def test_the_furthest_counts() -> None:
    records = [
        SimpleNamespace(metric="representative", value=value, detector=detector)
        for value, detector in ((1.5, "a"), (4.25, "b"), (2.0, "c"))
    ]
    told = in_words([*records, SimpleNamespace(metric="fid", value=99.0, detector="d")])  # type: ignore[list-item]
    assert told.startswith("representative: 4.25 times as far")
    assert "by b, 1.5 by a" in told
