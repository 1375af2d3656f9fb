"""`genbench merge`: figures from shards that others computed."""

from __future__ import annotations

import shlex
import sys
from functools import wraps
from typing import Any

from genbench.cli.quality import fid
from genbench.errors import UsageError


@wraps(fid, assigned=("__annotations__",))  # fid's options: shards are found by what made them
def merge(**given: Any) -> None:
    """Give the figures of `genbench fid … --shard 3/16` once every shard is there.

    All other options are those of `genbench fid`, and must be the ones that the shards were
    computed with. Nothing is drawn: where shards are missing, it names them and the command that
    computes them.
    """
    from genbench.runtime.sharing import MERGED, MissingShards

    if given["shard"]:
        raise UsageError("merge takes all shards: leave --shard out")
    try:
        fid(**given | {"shard": MERGED})
    except MissingShards as missing:
        again = shlex.join(["genbench", "fid", *sys.argv[2:]])
        raise MissingShards(f"{missing}; this computes them: {again}") from missing
