"""Where things lie: the cache, the records, the tables that ship with genbench."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path


def cache_folder() -> Path:
    """$GENBENCH_CACHE, else $XDG_CACHE_HOME/genbench, else ~/.cache/genbench."""
    if given := os.environ.get("GENBENCH_CACHE"):
        return Path(given).expanduser()
    return _user_cache() / "genbench"


def torch_hub_folder() -> Path:
    """Where torch.hub keeps code and checkpoints: $TORCH_HOME/hub, else ~/.cache/torch/hub."""
    home = os.environ.get("TORCH_HOME")
    return (Path(home).expanduser() if home else _user_cache() / "torch") / "hub"


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given).expanduser() if given else Path("~/.cache").expanduser()


def tables_folder() -> Path:
    """Where table specs and protocols lie: inside an installed wheel, else in the checkout."""
    installed = Path(str(files("genbench"))) / "_tables"
    return installed if installed.is_dir() else Path(str(files("genbench"))).parent / "tables"


def default_records() -> Path:
    """$GENBENCH_RECORDS, else genbench/records.jsonl in the user's data folder."""
    if named := os.environ.get("GENBENCH_RECORDS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "genbench" / "records.jsonl"
