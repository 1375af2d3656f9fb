"""The weights of genbench's own detectors: which file they are, and fetching it with a bar."""

from __future__ import annotations

from genbench.detectors.registry import own_module
from genbench.runtime.progress import Reporter, in_percent
from genbench.weights.files import WeightFile, locate, obtain


def detector_weight(name: str) -> WeightFile | None:
    """The weight file of one of genbench's own detectors; None for a third party's."""
    module = own_module(name)
    published: WeightFile | None = module.weight(name) if module is not None else None
    return published


def fetch_weights(name: str, reporter: Reporter) -> None:
    """Download a detector's weights where they are missing, as `create_detector` would silently.

    Does nothing for a detector that lacks something else too: `create_detector` says what. Raises
    GenbenchError when the file cannot be had.
    """
    module = own_module(name)
    published = detector_weight(name)
    if module is None or published is None or module.missing_code(name):
        return
    if locate(published, None) is None:
        with reporter.task(f"{published.filename}, percent", 100) as advance:
            obtain(published, progress=in_percent(advance))
