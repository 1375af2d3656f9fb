"""Requests for published files: who is asked, where redirects may lead, why they fail."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import urlsplit

from genbench.errors import GenbenchError
from genbench.runtime.reachable import PORTS, check_reachable
from genbench.version import __version__
from genbench.weights.addresses import can_be_trusted, headers_for

CONNECT_SECONDS = 3.0  # name look-up and TCP connection together; offline must show in under 5 s
STALL_SECONDS = 30.0  # no byte for so long: the connection is taken for dead


class AddressError(GenbenchError):
    """An address does not give the file; another may."""


class MissingError(AddressError):
    """An address has no such file (404 or 410)."""


class UnreachableError(AddressError):
    """The host of an address does not answer."""


def request_of(
    url: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> urllib.request.Request:
    """A request for a file as it is stored, with what its host asks for."""
    told = {"User-Agent": f"genbench/{__version__}", "Accept-Encoding": "identity"}
    made = urllib.request.Request(url, headers=told | dict(headers or {}), method=method)
    for name, value in headers_for(url).items():
        made.add_unredirected_header(name, value)  # for this host alone
    return made


def check_answers(url: str) -> None:
    """Raises ConnectionError within CONNECT_SECONDS where an address's host does not answer."""
    check_reachable(url, CONNECT_SECONDS)


def untrusted(url: str) -> str:
    """Why nothing is taken from an address, for the errors."""
    return (
        f"no digest of the file is known and {url} is not https, so anybody between could change "
        "it (GENBENCH_ALLOW_HTTP=1 takes it all the same)"
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that stay as safe as the address asked for, with the method asked by."""

    max_redirections = 10

    def __init__(self, verified: bool) -> None:
        self.verified = verified

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        """The answer from there. Raises AddressError for what is no address."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:  # of urlsplit
            fp.close()
            raise AddressError(f"{req.full_url} redirects to no address ({error})") from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        """The next request; its token only for the very host. Raises AddressError for a redirect
        from https to anything else, and to what cannot be trusted where no digest is known."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in PORTS or (old.scheme == "https" and new.scheme != "https"):
            fp.close()
            raise AddressError(f"{req.full_url} redirects to {newurl}, which is not https")
        if not (self.verified or can_be_trusted(newurl)):
            fp.close()
            raise AddressError(untrusted(newurl))
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None:
            made.method = req.get_method()
            for name, value in headers_for(newurl).items():
                made.add_unredirected_header(name, value)
        return made


def opened(request: urllib.request.Request, *, verified: bool) -> Any:
    """The answer to a request, redirects followed. Raises AddressError for one to where nothing
    may come from or to no address, and what urllib raises."""
    opener = urllib.request.build_opener(_Redirects(verified))
    return opener.open(request, timeout=STALL_SECONDS)


def whole_number(text: str) -> int | None:
    """What a header says in decimal digits; None for anything else."""
    return int(text) if len(text) < 19 and text.isascii() and text.isdigit() else None


def why(error: BaseException) -> str:
    """Why a connection failed, in few words."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "it stopped answering"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return " ".join(str(inner).split()) or type(inner).__name__
