"""The labels of a folder or a zip in dataset.json, as StyleGAN's and EDM's tools write it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from genbench.errors import GenbenchError
from genbench.images.sets import Labels

NAME = "dataset.json"


def listed_labels(content: bytes, names: Sequence[str], where: str) -> Labels | None:
    """Labels int64 [N] of the pictures of those names; None where the file holds no labels.

    content: {"labels": [[name, label], …]} (EDM's dataset_tool.py). Raises GenbenchError naming
    `where` for anything else, and for a picture without a whole number.
    """
    try:
        pairs = json.loads(content).get("labels") or []
        by_name = dict(pairs)
        labels = [by_name[name] for name in names] if by_name else []
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise GenbenchError(
            f"{where} does not give each picture a label ({error!r:.100}): correct or remove it"
        ) from error
    if not all(isinstance(label, int) and 0 <= label < 1 << 31 for label in labels):
        raise GenbenchError(f"{where} holds labels that are no classes: correct or remove it")
    return np.array(labels, np.int64) if labels else None
