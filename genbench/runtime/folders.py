"""Where things lie: the cache, the records, the tables that ship with genbench."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from genbench.errors import UsageError
from genbench.runtime.addresses import address_in


def expanded(given: str | Path, name: str = "") -> Path:
    """A path with ~ as the home folder. name: what named it, such as a variable, for the refusal.

    Raises UsageError where there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        where = f"{name}={given}" if name else str(given)
        raise UsageError(f"{where}: there is no home folder of that name; write it out") from error


def cache_folder() -> Path:
    """$GENBENCH_CACHE, else $XDG_CACHE_HOME/genbench, else ~/.cache/genbench. Raises UsageError
    where there is no home folder, and for an address."""
    if given := os.environ.get("GENBENCH_CACHE"):
        if address_in(given):
            raise UsageError(
                "GENBENCH_CACHE is a folder of this machine, for weights too: shards go to an "
                "address with --store or --cache"
            )
        return expanded(given, "GENBENCH_CACHE")
    return _user_cache() / "genbench"


def torch_hub_folder() -> Path:
    """Where torch.hub keeps code and checkpoints: $TORCH_HOME/hub, else ~/.cache/torch/hub; without
    a home folder, torch/hub in the cache."""
    if home := os.environ.get("TORCH_HOME"):
        return expanded(home, "TORCH_HOME") / "hub"
    try:
        return _user_cache() / "torch" / "hub"
    except UsageError:
        return cache_folder() / "torch" / "hub"


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return expanded(given, "XDG_CACHE_HOME") if given else _home() / ".cache"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder (HOME is unset and this user has none): set GENBENCH_CACHE "
            "and GENBENCH_RECORDS to places that can be written"
        ) from error


def tables_folder() -> Path:
    """Where table specs and protocols lie: inside an installed wheel, else in the checkout."""
    installed = Path(str(files("genbench"))) / "_tables"
    return installed if installed.is_dir() else Path(str(files("genbench"))).parent / "tables"


def default_records() -> Path:
    """$GENBENCH_RECORDS, else genbench/records.jsonl in the user's data folder. Raises UsageError
    where there is no home folder."""
    if named := os.environ.get("GENBENCH_RECORDS"):
        return expanded(named, "GENBENCH_RECORDS")
    data = os.environ.get("XDG_DATA_HOME")
    folder = Path(data) if data else _home() / ".local" / "share"
    return folder / "genbench" / "records.jsonl"
