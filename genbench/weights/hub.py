"""Files of the Hugging Face Hub: weights come with the configuration beside them."""

from __future__ import annotations

from dataclasses import replace

from genbench.weights.connections import MissingError
from genbench.weights.files import WeightFile, brought

_CONFIGURATION = "config.json"


def with_configuration(weights: WeightFile) -> None:
    """Fetch the config.json that lies beside weights of the Hub, which says what network they are
    of; a repository without one is no error. Raises GenbenchError as `brought`."""
    url = f"{weights.url.rpartition('/')[0]}/{_CONFIGURATION}"
    beside = replace(weights, filename=_CONFIGURATION, url=url, published_at=url)
    if beside.place.is_file():
        return
    try:
        brought(beside)
    except MissingError:
        return
