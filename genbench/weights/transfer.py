"""One file brought from one address to a part file, over as many connections as that takes."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import urllib.error
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from genbench.errors import GenbenchError
from genbench.runtime.files import replacing
from genbench.runtime.reachable import PORTS
from genbench.weights.addresses import can_be_trusted
from genbench.weights.connections import (
    AddressError,
    MissingError,
    UnreachableError,
    check_answers,
    opened,
    request_of,
    untrusted,
    whole_number,
    why,
)

BUSY_SECONDS = 1.0  # before a server that is busy is asked again, doubled each time
_LONGEST_WAIT = 60.0  # that a busy server can ask for
_ATTEMPTS = 3  # connections that may break in a row before giving up
_STARTS = 3  # how often a file may change while it is fetched
_GAIN = 1 << 14  # bytes that a connection must bring to count as progress
_BLOCK = 1 << 20  # bytes read at a time
_BUSY = (429, 500, 502, 503, 504)

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What an address said of the file that a part is of, kept beside the part. validator: for
    If-Range, a strong ETag or a date; empty: none. total: bytes of the whole file."""

    url: str
    validator: str
    total: int | None


@dataclass
class Transfer:
    """The transfer from `url` to `part`. verified: whether a digest is known that the whole is
    held against: then a part is resumed on trust, otherwise only under the address's own validator.
    name: of the file, for the errors. stop: set by whoever wants it to end.
    """

    url: str
    part: Path
    name: str
    verified: bool
    progress: Progress | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    _starts: int = 0

    def run(self) -> None:
        """Bring the part file to its full length. Raises AddressError when the address does not
        give the file, OSError and GenbenchError when the disk does not take it."""
        self._check_address()
        failures = 0
        while True:
            before = self.have()
            reason, wait = self._one_connection()
            if not reason:
                return
            gained = self.have() - before
            failures = 1 if gained >= _GAIN else failures + 1
            if failures >= _ATTEMPTS or urlsplit(self.url).scheme == "file":
                total = self._announced().total
                whole = f" of {total}" if total else ""
                raise AddressError(
                    f"the download of {self.name} broke at byte {self.have()}{whole} ({reason}); "
                    "run again to resume it"
                )
            if self.stop.wait(max(wait * 2 ** (failures - 1), 0.1 * failures)):
                raise AddressError(f"the download of {self.name} was stopped")
            self._check_address()

    def have(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def discard(self) -> None:
        """Remove the part."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _announced(self) -> Announced:
        """Of the part that is here; of another address, or none, as if nothing were known."""
        try:
            found = Announced(**json.loads(self._note.read_text()))
        except (OSError, ValueError, TypeError):
            found = None
        unknown = Announced(url=self.url, validator="", total=None)
        return found if found and found.url == self.url else unknown

    def _one_connection(self) -> tuple[str, float]:
        """Append what one request yields; returns why it ended early and the seconds to wait, or
        nothing when the file is complete."""
        known = self._announced()
        if self.have() and not (self.verified or known.validator):
            self.discard()
        have = self.have()
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if known.validator:
                headers["If-Range"] = known.validator
        try:
            response = opened(request_of(self.url, headers), verified=self.verified)
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            return why(error), 0.0
        with response:
            return self._received(response, have, known)

    def _received(self, response: Any, have: int, known: Announced) -> tuple[str, float]:
        told: Message = response.headers
        self._check_told(told)
        resumes = getattr(response, "status", None) == 206
        if resumes and not have:
            raise AddressError(f"{self.url} sends a part of {self.name}, unasked")
        if resumes and not _continues(told, have, known):
            return self._changed()
        total = _total_of(told, known) if resumes else whole_number(told.get("Content-Length", ""))
        found = Announced(url=self.url, validator=_validator(told), total=total)
        chunked = "chunked" in told.get("Transfer-Encoding", "").lower() and not resumes
        if total is None and not (self.verified or chunked):
            raise AddressError(
                f"{self.url} does not say how large {self.name} is, so nobody could tell whether "
                "it is whole"
            )
        if not resumes and have:
            self._began_anew()
        have = have if resumes else 0
        self._check_room(have, total)
        with self.part.open("ab" if resumes else "wb") as file:
            if not resumes:
                with replacing(self._note) as temporary:
                    temporary.write_text(json.dumps(asdict(found)))
            reason = self._copy(response, file, have, total)
        if total is not None and self.have() > total:
            return self._changed()
        return reason, 0.0

    def _copy(self, response: Any, file: IO[bytes], have: int, total: int | None) -> str:
        while True:
            try:
                block = response.read1(_BLOCK)  # what has come, so that bars move and stops work
            except http.client.IncompleteRead as error:
                file.write(error.partial)
                return "the connection closed early"
            except (http.client.HTTPException, OSError) as error:
                return why(error)
            if not block:
                break
            file.write(block)
            have += len(block)
            if self.progress is not None:
                self.progress(have, total)
            if self.stop.is_set():
                raise AddressError(f"the download of {self.name} was stopped")
        short = total is not None and have < total
        return "the connection closed early" if short else ""

    def _check_told(self, told: Message) -> None:
        """Raises AddressError for what is not the file as it is stored."""
        if told.get_content_type() in ("text/html", "application/xhtml+xml") and "html" not in (
            Path(self.name).suffix
        ):
            raise AddressError(
                f"{self.url} sends a web page, not {self.name}: a person may have to log in or "
                "confirm there first"
            )
        if told.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise AddressError(f"{self.url} sends {self.name} compressed, unasked")

    def _refused(self, error: urllib.error.HTTPError) -> tuple[str, float]:
        with error:
            if error.code == 416:  # the part is already whole, or longer than the file
                total = self._announced().total
                same = self.verified or total in (None, self.have())
                if same and error.headers.get("Content-Range") == f"bytes */{self.have()}":
                    return "", 0.0
                return self._changed()
            said = f"{error.code} {error.reason}".splitlines()[0]
            if error.code in _BUSY:
                return f"the server answers {said}", _asked_to_wait(error.headers)
            if error.code // 100 == 3:
                raise AddressError(f"{self.url} redirects in a circle, or too often") from error
            told = ""
            if error.code in (401, 403) and "/resolve/" in self.url:
                told = ", which may mean that HF_TOKEN is missing or lacks the right"
            kind = MissingError if error.code in (404, 410) else AddressError
            raise kind(f"{self.url} answers {said}{told}") from error

    def _changed(self) -> tuple[str, float]:
        self.discard()
        self._began_anew()
        return "the partial file did not fit and was removed", 0.0

    def _began_anew(self) -> None:
        self._starts += 1
        if self._starts > _STARTS:
            raise AddressError(f"{self.url} sends another {self.name} each time")

    def _check_room(self, have: int, total: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - have > free:
            raise GenbenchError(
                f"no space for {self.part.parent / self.name}: {total - have} bytes to come, {free}"
                " free; free some space, or set GENBENCH_CACHE to a folder on another disk, and "
                "run again"
            )

    def _check_address(self) -> None:
        """Find out within CONNECT_SECONDS that there is no network."""
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            if not Path(unquote(parts.path)).is_file():
                raise MissingError(f"{self.url}: No such file")
            return
        if parts.scheme not in PORTS or not parts.hostname:
            raise AddressError(f"{self.url} is not an https, http or file address")
        if not (self.verified or can_be_trusted(self.url)):
            raise AddressError(untrusted(self.url))
        try:
            check_answers(self.url)
        except ConnectionError as error:
            raise UnreachableError(f"{self.name} is not on this machine and {error}") from error


def _validator(told: Message) -> str:
    """What If-Range may carry (RFC 9110, 13.1.5): a strong ETag, else the date."""
    etag = str(told.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(told.get("Last-Modified", ""))


def _continues(told: Message, have: int, known: Announced) -> bool:
    """Whether a partial answer goes on where the part ends, in the same file."""
    if not str(told.get("Content-Range", "")).startswith(f"bytes {have}-"):
        return False
    if known.total is not None and _total_of(told, known) != known.total:
        return False
    said = _validator(told)
    return not (known.validator and said and said != known.validator)


def _total_of(told: Message, known: Announced) -> int | None:
    """Bytes of the whole file of which a partial answer brings some, maybe fewer than asked for."""
    said = whole_number(str(told.get("Content-Range", "")).partition("/")[2])
    return known.total if said is None else said


def _asked_to_wait(told: Message) -> float:
    given = whole_number(told.get("Retry-After", ""))
    return BUSY_SECONDS if given is None else min(float(given), _LONGEST_WAIT)
