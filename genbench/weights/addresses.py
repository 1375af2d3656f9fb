"""Addresses of published files: which may be trusted, mirrors before them, the Hub's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit

from genbench.errors import UsageError
from genbench.runtime.folders import expanded

HUB = "https://huggingface.co"
LOCK_NAME = "genbench.lock"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_HUB_FILE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@#?]+?)(?:@(?P<revision>[^@]+))?")


def can_be_trusted(url: str) -> bool:
    """Whether what an address sends is what its owner put there: https, this machine, or plain http
    where GENBENCH_ALLOW_HTTP=1 says that the network is one's own."""
    parts = urlsplit(url)
    if parts.scheme in ("https", "file"):
        return True
    own = parts.hostname in _LOOPBACK or os.environ.get("GENBENCH_ALLOW_HTTP") == "1"
    return parts.scheme == "http" and own


def folder_of(url: str) -> str:
    """A folder name for the files that lie beside each other at an address: its host, and digits
    that tell its paths, and queries, apart."""
    path, mark, query = url.partition("?")
    above = path.rpartition("/")[0] + mark + query
    host = (urlsplit(url).hostname or "here").replace(":", "-")
    return f"{host}-{sha256(above.encode()).hexdigest()[:8]}"


def mirrors() -> list[str]:
    """The addresses of $GENBENCH_MIRROR in order: folders or URLs, with ";" between them. Raises
    UsageError for what is neither."""
    found = []
    for given in filter(None, map(str.strip, os.environ.get("GENBENCH_MIRROR", "").split(";"))):
        if "://" in given:
            found.append(given.rstrip("/"))
        elif expanded(given, "GENBENCH_MIRROR").is_dir():
            found.append(expanded(given).absolute().as_uri())
        else:
            raise UsageError(
                f"GENBENCH_MIRROR={given} is neither a folder nor a URL: correct it, or unset it"
            )
    return found


def addresses_of(url: str, relative: Path) -> list[str]:
    """Where a file may come from, in the order to be tried: each mirror, in which it lies as in the
    cache or under its bare name, then its own address. Empty without any."""
    below = [quote(relative.as_posix()), quote(relative.name)]
    found = [f"{mirror}/{name}" for mirror in mirrors() for name in dict.fromkeys(below)]
    return [*found, *filter(None, [_hub_endpoint(url)])]


def hub_address(spec: str) -> str:
    """The address of `hf:OWNER/REPO/FILE@REVISION`; without a revision, of main. Raises UsageError
    for what is not spelled so."""
    found = _HUB_FILE.fullmatch(spec)
    if found is None or ".." in found["file"].split("/"):
        raise UsageError(f"{spec} is not spelled hf:OWNER/REPO/FILE@REVISION: correct it")
    revision = quote(found["revision"] or "main", safe="")
    return f"{HUB}/{found['repo']}/resolve/{revision}/{quote(found['file'])}"


def headers_for(url: str) -> Mapping[str, str]:
    """What a host asks for beyond the address: of the Hub, $HF_TOKEN. For that host alone, and
    never over plain http to another machine."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token and url.startswith(f"{_endpoint()}/") and can_be_trusted(url):
        return {"Authorization": f"Bearer {token}"}
    return {}


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def _hub_endpoint(url: str) -> str:
    """An address of the Hub at $HF_ENDPOINT; another's as it is."""
    return _endpoint() + url.removeprefix(HUB) if url.startswith(f"{HUB}/") else url
