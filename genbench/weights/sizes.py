"""How large a published file is, asked before it is fetched."""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from genbench.errors import GenbenchError
from genbench.runtime.reachable import PORTS
from genbench.weights.connections import check_answers, opened, request_of, whole_number, why


def announced_size(urls: Sequence[str], *, verified: bool) -> int:
    """Bytes of a file by the first of its addresses that says so; nothing is fetched.

    verified: whether a digest of the file is known. Raises GenbenchError, with the reason of the
    last address, where none does.
    """
    reason = "no address of it is known"
    for url in urls:
        try:
            return _asked(url, verified)
        except GenbenchError as error:
            reason = str(error)
    raise GenbenchError(reason)


def _asked(url: str, verified: bool) -> int:
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if path.is_file():
            return path.stat().st_size
        raise GenbenchError(f"there is no {path}")
    if parts.scheme not in PORTS or not parts.hostname:
        raise GenbenchError(f"{url} is not an https, http or file address")
    try:
        check_answers(url)
    except ConnectionError as error:
        raise GenbenchError(str(error)) from error
    try:
        with opened(request_of(url, method="HEAD"), verified=verified) as response:
            length = whole_number(response.headers.get("Content-Length", ""))
    except urllib.error.HTTPError as error:
        with error:
            said = f"{error.code} {error.reason}".splitlines()[0]
            raise GenbenchError(f"{parts.hostname} answers {said}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise GenbenchError(f"{parts.hostname}: {why(error)}") from error
    if length is None:
        raise GenbenchError(f"{parts.hostname} does not say how large it is")
    return length
