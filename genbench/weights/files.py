"""Where the file of published weights lies, and whether it is the published one."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.runtime.digests import file_sha256
from genbench.runtime.folders import cache_folder, torch_hub_folder
from genbench.weights.download import download


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A published weight file, known by its digest; nothing is read or fetched by naming it.

    url: https, http or file address; empty when the file ships in a package.
    sha256: the full SHA-256 in hex, or a published prefix of at least 8 digits (as the names of
        torch hub files carry).
    published_at: a page that a person can open.
    alternative: what needs no such file, named in the errors.
    option: the command-line option that names a copy, for the errors.
    search: further folders to look in.
    megabytes: about how large it is, for people who decide on a download; 0 where nobody says.
    """

    filename: str
    url: str
    sha256: str
    published_at: str
    alternative: str = ""
    option: str = ""
    search: tuple[Path, ...] = ()
    megabytes: int = 0

    def __post_init__(self) -> None:
        if Path(self.filename).name != self.filename or self.filename in ("", ".", ".."):
            raise GenbenchError(
                f"weight file name {self.filename!r} must be a bare file name: correct its address"
            )
        if not (8 <= len(self.sha256) <= 64 and set(self.sha256) <= set(string.hexdigits)):
            raise GenbenchError(
                f"SHA-256 {self.sha256!r} of {self.filename} must be 8 to 64 hexadecimal digits: "
                "copy the published digest"
            )

    @property
    def place(self) -> Path:
        """Where genbench keeps the file, and where a person can put it; the name carries the
        digest's first digits, so that files of one name from two publishers do not meet."""
        start = self.sha256[:8].lower()
        name = self.filename if start in self.filename else f"{start}-{self.filename}"
        return cache_folder() / "weights" / name


def locate(weight: WeightFile, given: Path | None) -> Path | None:
    """The file on this machine, or None: `given` (a file, or a folder that holds it), the cache,
    torch hub's checkpoints, then `weight.search`. Uses no network and checks no digest.

    Raises GenbenchError when `given` is named but is not there.
    """
    if given is None:
        return next(iter(_copies(weight)), None)
    path = given / weight.filename if given.is_dir() else given
    if not path.is_file():
        raise GenbenchError(f"{path} is not a file: {how_to_get(weight)}")
    return path


def _copies(weight: WeightFile) -> list[Path]:
    folders = (torch_hub_folder() / "checkpoints", *weight.search)
    candidates = (weight.place, *(folder / weight.filename for folder in folders))
    return [path for path in candidates if path.is_file()]


def obtain(
    weight: WeightFile,
    given: Path | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The file on this machine, downloaded into the cache when it is not there.

    Only a file with the published digest is taken, but for one named by `given`, which is the
    user's own choice and not checked against it (detectors record the digest of what they loaded).
    progress: called with (bytes so far, bytes in all or None). Raises GenbenchError, one line, when
    the file cannot be had, does not verify or cannot be written; without network in under 5 s.
    """
    if given is not None and (found := locate(weight, given)) is not None:
        return found
    copies = _copies(weight)
    for path in copies:
        if matches(weight, path):
            return path
    if weight.place in copies or (copies and not weight.url):
        raise GenbenchError(
            f"{copies[0]} is damaged or another file (SHA-256 {file_sha256(copies[0])[:16]}..., "
            f"not {weight.sha256[:16]}...): delete it and run again, or "
            f"{_fetch_by_hand(weight)} in its place"
        )
    hint = how_to_get(weight)
    if not weight.url:
        raise GenbenchError(f"{weight.filename} is not on this machine: {hint}")
    return download(weight.url, weight.place, sha256=weight.sha256, hint=hint, progress=progress)


def matches(weight: WeightFile, path: Path) -> bool:
    """Whether the file at `path` has the published digest of `weight`."""
    return file_sha256(path).startswith(weight.sha256.lower())


def how_to_get(weight: WeightFile) -> str:
    """Where the file is published, where to put it and what works without it, for error lines."""
    text = f"{_fetch_by_hand(weight)} to {weight.place}, or name your copy"
    text = f"{text} with {weight.option}" if weight.option else text
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
