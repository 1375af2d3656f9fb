"""Where the file of published weights lies, and whether it is the published one."""

from __future__ import annotations

import string
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genbench.errors import GenbenchError
from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder, torch_hub_folder
from genbench.weights.addresses import addresses_of, folder_of
from genbench.weights.download import Downloaded, Expected, download
from genbench.weights.looks import check_looks
from genbench.weights.mirrored import expected_of_mirrors
from genbench.weights.pins import how_to_repin, lock_file, pin, read_pins


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A published file, known by its digest, or by its address where nobody published one; nothing
    is read or fetched by naming it.

    url: https, http or file address; empty when the file ships in a package.
    sha256: the full SHA-256 in hex, or a published prefix of at least 8 digits (as the names of
        torch hub files carry); empty: that of the first download is pinned
        (`genbench.weights.pins`).
    published_at: a page that a person can open.
    alternative: what needs no such file, named in the errors.
    option: the command-line option that names a copy, for the errors.
    search: further folders to look in.
    megabytes: about how large it is, for people who decide on a download; 0 where nobody says.
    kept: the folder of the cache it lies in.
    """

    filename: str
    url: str
    sha256: str
    published_at: str
    alternative: str = ""
    option: str = ""
    search: tuple[Path, ...] = ()
    megabytes: int = 0
    kept: Literal["weights", "references"] = "weights"

    def __post_init__(self) -> None:
        if Path(self.filename).name != self.filename or self.filename in ("", ".", ".."):
            raise GenbenchError(
                f"weight file name {self.filename!r} must be a bare file name: correct its address"
            )
        if not self.sha256 and self.url:
            return
        if not (8 <= len(self.sha256) <= 64 and set(self.sha256) <= set(string.hexdigits)):
            raise GenbenchError(
                f"SHA-256 {self.sha256!r} of {self.filename} must be 8 to 64 hexadecimal digits: "
                "copy the published digest"
            )

    @property
    def relative(self) -> Path:
        """Where the file lies in the cache, and in a folder that `genbench fetch --to` fills. The
        name of weights carries the digest's first digits, so that files of one name from two
        publishers do not meet; without a digest, files of one address share a folder."""
        if self.kept == "references":
            return Path("references") / self.filename
        if not self.sha256:
            return Path("weights") / folder_of(self.url) / self.filename
        start = self.sha256[:8].lower()
        name = self.filename if start in self.filename else f"{start}-{self.filename}"
        return Path("weights") / name

    @property
    def place(self) -> Path:
        """Where genbench keeps the file, and where a person can put it."""
        return cache_folder() / self.relative


def locate(weight: WeightFile, given: Path | None) -> Path | None:
    """The file on this machine, or None: `given` (a file, or a folder that holds it), the cache,
    torch hub's checkpoints, then `weight.search`; without a digest, the cache alone. Uses no
    network and checks no digest.

    Raises GenbenchError when `given` is named but is not there.
    """
    if given is None:
        return next(iter(_copies(weight)), None)
    path = given / weight.filename if given.is_dir() else given
    if not path.is_file():
        raise GenbenchError(f"{path} is not a file: {how_to_get(weight)}")
    return path


def _copies(weight: WeightFile) -> list[Path]:
    candidates = [weight.place]
    if weight.sha256:  # of names alone a file elsewhere may be anybody's
        folders = (torch_hub_folder() / "checkpoints", *weight.search)
        candidates += [folder / weight.filename for folder in folders]
    return [path for path in candidates if path.is_file()]


def expected_of(weight: WeightFile) -> Expected:
    """The digest that a file must have: the published one, else the pinned one, else none. Raises
    GenbenchError for a lock file that cannot be read."""
    if weight.sha256:
        return Expected(sha256=weight.sha256.lower())
    pinned = read_pins().get(weight.url)
    if pinned is None:
        return Expected(sha256="")
    return Expected(
        sha256=pinned.sha256, whence=f"which is pinned in {lock_file()} since {pinned.pinned}",
        remedy=how_to_repin(weight.url),
    )  # fmt: skip


def obtain(
    weight: WeightFile,
    given: Path | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    told: Callable[[str], None] | None = None,
) -> Path:
    """The file on this machine, downloaded into the cache when it is not there.

    Only a file with the published digest is taken, or, where none is published, with the pinned one
    (`told` hears of a digest that is pinned now); but for one named by `given`, which is the
    user's own choice and not checked against it (detectors record the digest of what they loaded).
    progress: called with (bytes so far, bytes in all or None). Raises GenbenchError, one line, when
    the file cannot be had, does not verify or cannot be written; without network in under 5 s.
    """
    if given is not None and (found := locate(weight, given)) is not None:
        return found
    if (here := verified_copy(weight, told=told)) is not None:
        return here
    if not weight.url:
        raise GenbenchError(f"{weight.filename} is not on this machine: {how_to_get(weight)}")
    return brought(weight, progress=progress, told=told).path


def verified_copy(weight: WeightFile, *, told: Callable[[str], None] | None = None) -> Path | None:
    """The file where it is on this machine, held against its digest; None where it is not here.

    A file without a published digest that a person put in its place is pinned, and `told` of it.
    Raises GenbenchError for one that is damaged or another.
    """
    copies, expected = _copies(weight), expected_of(weight)
    for path in copies:
        digest = file_sha256(path)
        if not digest.startswith(expected.sha256):
            continue
        if not expected.sha256:
            _pinned(weight, path, digest, "", told)
        return path
    if weight.place in copies or (copies and not weight.url):
        short = not expected.whence
        found = file_sha256(copies[0])
        raise GenbenchError(
            f"{copies[0]} is damaged or another file (SHA-256 "
            f"{f'{found[:16]}...' if short else found}, not "
            f"{f'{expected.sha256[:16]}...' if short else f'{expected.sha256}, {expected.whence}'}"
            f"): delete it and run again, or {_fetch_by_hand(weight)} in its place"
            + (f"; {expected.remedy}" if expected.remedy else "")
        )
    return None


def brought(
    weight: WeightFile,
    *,
    to: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    told: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> Downloaded:
    """The file, fetched to its place in the cache, or in the folder `to`, from a mirror or its
    address, and its digest pinned where none is published (`told` hears of it).

    stop: ends the transfer. Raises GenbenchError as `obtain`.
    """
    target = weight.place if to is None else to / weight.relative
    expected = expected_of(weight)
    if not expected.sha256:
        expected = expected_of_mirrors(weight.url)

    def check(part: Path, digest: str) -> None:
        if not weight.sha256:
            check_looks(part, weight.filename)
            _pinned(weight, part, digest, "fetched now", told)

    return download(
        addresses_of(weight.url, weight.relative), target, expected,
        hint=how_to_get(weight, at=target), check=check, progress=progress, stop=stop,
    )  # fmt: skip


def _pinned(
    weight: WeightFile, path: Path, digest: str, how: str, told: Callable[[str], None] | None
) -> None:
    """Pin the digest of a file, and say so where that is new."""
    if pin(weight.url, sha256=digest, size=path.stat().st_size) and told is not None:
        told(
            f"{weight.filename}, {how or 'found in its place'}, has SHA-256 {digest}; nobody "
            f"publishes one, so it is pinned in {lock_file()} and a later difference is an error"
        )


def matches(weight: WeightFile, path: Path) -> bool:
    """Whether the file at `path` has the published or pinned digest of `weight`."""
    expected = expected_of(weight)
    return bool(expected.sha256) and file_sha256(path).startswith(expected.sha256)


def how_to_get(weight: WeightFile, *, at: Path | None = None) -> str:
    """Where the file is published, where to put it (`at`, or in the cache) and what works without
    it, for error lines."""
    text = f"{_fetch_by_hand(weight)} to {at or weight.place}"
    text = f"{text}, or name your copy with {weight.option}" if weight.option else text
    return f"{text}; {weight.alternative}" if weight.alternative else text


def _fetch_by_hand(weight: WeightFile) -> str:
    if not weight.url:
        return f"copy it from {weight.published_at}"
    page = "" if weight.published_at == weight.url else f" (published at {weight.published_at})"
    return f"download {weight.url}{page}"


def weights_of(path: Path, own: str = "") -> Path:
    """The weights in a model's folder (a file is itself): the file of the name `own`, else
    model.safetensors, else pytorch_model.bin. Raises GenbenchError naming them when none is there.
    """
    if not path.is_dir():
        return path
    names = tuple(dict.fromkeys(filter(None, (own, "model.safetensors", "pytorch_model.bin"))))
    for name in names:
        if (path / name).is_file():
            return path / name
    raise GenbenchError(f"{path} holds neither {' nor '.join(names)}: name the weights file itself")
