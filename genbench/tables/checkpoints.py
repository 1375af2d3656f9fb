"""Which weights a row of a table spec names: by file name, by digest, or by path."""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.records.kinds import Record
from genbench.runtime.digests import file_sha256
from genbench.weights.files import weights_of

_DIGITS = 6  # of a digest, at least, that name a checkpoint


def is_of_checkpoint(record: Record, named: str) -> bool:
    """Whether a record is of these weights: a path, as the command line has it, whose file must
    have the record's digest; a pattern of the file's name ("*.pt"); or the first digits of its
    SHA-256. Empty: of any."""
    if "/" in named:
        with suppress(GenbenchError):  # no such file here, or no weights in the folder yet
            return file_sha256(weights_of(Path(named))) == record.checkpoint_digest
        return False
    digits = len(named) >= _DIGITS and record.checkpoint_digest.startswith(named.lower())
    return not named or digits or fnmatchcase(record.checkpoint, named)
