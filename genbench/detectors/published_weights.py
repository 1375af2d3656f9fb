"""The published weights of detectors: which file they are, and fetching it with a bar."""

from __future__ import annotations

from genbench.detectors.registry import detector_module
from genbench.runtime.progress import Reporter, in_percent
from genbench.weights.files import WeightFile, locate, obtain


def detector_weight(name: str) -> WeightFile | None:
    """The weight file of a detector; None for one that finds its weights by itself."""
    return detector_module(name).weight(name)


def fetch_weights(name: str, reporter: Reporter) -> None:
    """Download a detector's weights where they are missing, as `create_detector` would silently.

    Does nothing for a detector that lacks something else too: `create_detector` says what. Raises
    GenbenchError when the file cannot be had.
    """
    module = detector_module(name)
    published = module.weight(name)
    if published is None or module.missing_code(name):
        return
    if locate(published, None) is None:
        with reporter.task(f"{published.filename}, percent", 100) as advance:
            obtain(published, progress=in_percent(advance))
