"""Golden numbers of metric arithmetic: metrics_<case>.json and the features it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parity_cases import UnknownCaseError


@dataclass(frozen=True)
class MetricCase:
    """One set of features and what official functions made of it.

    values: by key "code/function_settings/part". tolerances: absolute, by key. unstable: keys of
    which the order of magnitude alone is certain. fails: what official functions raised, by key.
    """

    path: Path
    meta: Mapping[str, Any]
    values: Mapping[str, float]
    tolerances: Mapping[str, float]
    unstable: frozenset[str]
    fails: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """The files beside it that it names."""
        return tuple(self.meta[part] for part in ("features", "arrays") if part in self.meta)

    def features(self, side: str) -> NDArray[np.float32]:
        """Rows of "real", "fake" or "test", float32 [N, D]; those stored as float16 are exact."""
        return self._held[side].astype(np.float32)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of the rows of "fake", int64 [M]."""
        return self._held["fake_labels"].astype(np.int64)

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What official functions gave beside numbers, by "key/part"; empty without such a file."""
        name = self.meta.get("arrays")
        return _arrays(self.path.parent / name) if name else {}

    @cached_property
    def _held(self) -> Mapping[str, NDArray[Any]]:
        return _arrays(self.path.parent / self.meta["features"])


def open_metric_case(path: Path) -> MetricCase:
    """The case of a JSON file. Raises UnknownCaseError for JSON that holds none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnknownCaseError(f"{path.name}: {error}") from error
    if not isinstance(told, dict) or not {"meta", "values", "tolerance_abs"} <= told.keys():
        raise UnknownCaseError(f"{path.name}: no case of metrics: meta, values, tolerance_abs")
    return MetricCase(
        path=path,
        meta=told["meta"],
        values=told["values"],
        tolerances=told["tolerance_abs"],
        unstable=frozenset(told.get("unstable", ())),
        fails=told.get("official_code_fails", {}),
    )


def named_by_cases(folder: Path) -> set[str]:
    """The names of the files that the metric cases of a folder read."""
    names: set[str] = set()
    for path in folder.glob("*.json"):
        with suppress(UnknownCaseError):
            names |= set(open_metric_case(path).files)
    return names


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
