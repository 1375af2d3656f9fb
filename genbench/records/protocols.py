"""Evaluation protocols: read from tables/protocols.toml, found by name, changed by options."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.runtime.digests import canonical_digest
from genbench.runtime.folders import tables_folder


def load_protocols(path: Path | None = None) -> dict[str, EvalProtocol]:
    """Every protocol of a TOML file by name. Raises GenbenchError for unknown keys or bad types."""
    path = path or tables_folder() / "protocols.toml"
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except FileNotFoundError as error:
        raise GenbenchError(f"{path} is missing: reinstall genbench") from error
    except tomllib.TOMLDecodeError as error:
        raise GenbenchError(f"{path} is not valid TOML ({error}): correct that line") from error
    return {name: _protocol(path, name, table) for name, table in tables.items()}


def _protocol(path: Path, name: str, table: Any) -> EvalProtocol:
    defaults = {
        item.name: getattr(EvalProtocol(name=name), item.name) for item in fields(EvalProtocol)
    }
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in defaults or key == "name":
            known = suggestion(key, defaults)
            raise GenbenchError(f"{path}: [{name}] has an unknown key {key}; {known}")
        values[key] = tuple(value) if isinstance(value, list) else value
        if type(values[key]) is not type(defaults[key]):
            kind = type(defaults[key]).__name__
            raise GenbenchError(f"{path}: [{name}] {key} = {value!r} must be of type {kind}")
    return EvalProtocol(name=name, **values)


def find_protocol(name: str) -> EvalProtocol:
    """The protocol of that name. Raises UsageError with the nearest for an unknown one."""
    protocols = load_protocols()
    if name not in protocols:
        raise UsageError(f"no protocol is named {name}; {suggestion(name, protocols)}")
    return protocols[name]


def choose_protocol(
    name: str,
    *,
    model_resolution: int = 0,
    reference: str = "",
    detector: str = "",
    crop: str = "",
    resolution: int = 0,
) -> EvalProtocol:
    """The protocol the user named, or the usual one, with the user's changes.

    Without a name: for a model and no reference the one made for its resolution (bundled at 32
    pixels, ADM's at ImageNet sizes); otherwise "standard". A change shows in the digest, and in a
    star behind the name.
    """
    if name:
        protocol = find_protocol(name)
    else:
        protocols = load_protocols()
        fitting = [item for item in protocols.values() if item.resolution == model_resolution != 0]
        protocol = fitting[0] if fitting and not reference else protocols["standard"]
    changed = replace(
        protocol,
        detector=detector or protocol.detector,
        crop=crop or protocol.crop,
        resolution=protocol.resolution or (0 if model_resolution else resolution),
    )
    if resolution and changed.resolution and resolution != changed.resolution:
        raise UsageError(
            f"protocol {protocol.name} is for {changed.resolution} pixels, not --res {resolution}: "
            "choose another protocol (`genbench ls protocols`)"
        )
    if changed.digest() == protocol.digest():
        return protocol
    return replace(changed, name=protocol.name + "*")


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """How figures are computed. Two measurements compare only when their digests are equal."""

    name: str
    title: str = ""
    detector: str = "inception"
    reference: str = ""  # image-set spec; empty: --ref must name one
    resolution: int = 0  # 0: whatever the samples have
    crop: str = "none"
    metrics: tuple[str, ...] = ("fid", "sfid", "is", "kid", "precision", "recall")
    counts: tuple[int, ...] = (50_000,)
    pr_neighbours: int = 3
    pr_half: bool = False  # emulate the float16 distances of the ADM evaluator
    dc_neighbours: int = 5
    is_splits: int = 0  # number of splits; 0: use is_split_size instead
    is_split_size: int = 5000  # the ADM evaluator's chunks
    is_shuffle: bool = False  # shuffled with seed 2020, as torch-fidelity does
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    kid_seed: int = 2020
    source: str = ""  # paper or code that defines it

    def digest(self) -> str:
        """Digest of what decides a figure. The sample count is not part of it: it is a column of
        its own, so that `-n 10000` and `-n 50000` of one protocol stay one protocol."""
        descriptive = {"title", "source", "counts", "name", "metrics"}
        values = {key: value for key, value in asdict(self).items() if key not in descriptive}
        return canonical_digest(values)[:16]
