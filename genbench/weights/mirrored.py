"""What the lock files of mirrors say of files whose digest nobody publishes."""

from __future__ import annotations

import http.client
import urllib.error

from genbench.errors import GenbenchError
from genbench.weights.addresses import LOCK_NAME, can_be_trusted, mirrors
from genbench.weights.connections import check_answers, opened, request_of
from genbench.weights.download import Expected
from genbench.weights.pins import parsed_pins

_LARGEST = 1 << 24  # bytes of a lock file


def expected_of_mirrors(url: str) -> Expected:
    """The digest under which the first mirror that has a lock file keeps the file of an address; of
    no digest where none knows it. Raises GenbenchError for a lock file that is none."""
    for mirror in filter(can_be_trusted, mirrors()):
        where = f"{mirror}/{LOCK_NAME}"
        try:
            if not where.startswith("file:"):
                check_answers(where)
            with opened(request_of(where), verified=False) as response:
                text = response.read(_LARGEST)
        except (urllib.error.URLError, http.client.HTTPException, OSError, GenbenchError):
            continue  # a mirror need not have one, and its absence shows when the file is fetched
        if pinned := parsed_pins(text, where).get(url):
            return Expected(sha256=pinned.sha256, whence=f"as {where} has it")
    return Expected(sha256="")
