"""The file of a bundle: a zip of a few members of known names, each with its digest."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from genbench.errors import GenbenchError
from genbench.records.protocols import EvalProtocol
from genbench.runtime.archives import claims_too_much
from genbench.runtime.arrays import array_header, read_array
from genbench.runtime.digests import canonical_digest
from genbench.runtime.files import refuse_special, replacing
from genbench.runtime.validated import validated_json

FORMAT = 1
MANIFEST, RECORDS, LEAVES, MOMENTS = "manifest.json", "records.jsonl", "leaves.npz", "moments.npz"
FEATURES, GRID, TABLE = "features.npz", "grid.png", "table.md"
# The most that a member may come to, in bytes: far more than any honest one but of features.
_MOST = {
    MANIFEST: 1 << 22, RECORDS: 1 << 26, LEAVES: 1 << 30, MOMENTS: 1 << 31, FEATURES: 1 << 38,
    GRID: 1 << 27, TABLE: 1 << 22,
}  # fmt: skip
_AGAIN = "have it sent or written again"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle is of. identity: everything that decides the samples, whose digest
    `samples_digest` is. root: the Merkle root over all samples. layers: of the features whose
    digests the leaves hold. slim: whether it was packed without moments. digests: member ->
    SHA-256.
    """

    format: Annotated[int, Ge(1)]
    genbench: str
    created: str
    samples: Annotated[int, Ge(1)]
    samples_digest: str
    identity: Mapping[str, Any]
    root: str
    layers: tuple[str, ...]
    protocol: EvalProtocol
    slim: bool
    digests: Mapping[str, str] = field(default_factory=dict)

    def seal(self) -> str:
        """One digest (hex) of everything in the bundle but the time it was packed: what a paper
        prints."""
        return canonical_digest({**asdict(self), "created": ""})


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read: its manifest and its members' bytes, digests checked; features stay
    in the file."""

    path: Path
    manifest: Manifest
    records: bytes
    leaves: NDArray[np.uint8]  # [N, 64]
    moments: Mapping[str, NDArray[np.float64]]  # empty in a slim one
    has_features: bool

    def features(self, name: str) -> NDArray[np.float32] | None:
        """Features float32 [n, D] by their name ("samples/pool"); None where there are none of it.
        Raises GenbenchError for what is no such array."""
        if not self.has_features:
            return None
        with zipfile.ZipFile(self.path) as archive, archive.open(FEATURES) as member:
            found = _arrays(self.path, FEATURES, member.read(), "f", only=name)
        return None if name not in found else np.asarray(found[name], np.float32)


Members = Mapping[str, bytes | Mapping[str, NDArray[Any]]]  # bytes, or arrays for an .npz


def write_bundle(
    path: Path, manifest: Manifest, members: Members, *, replaces_others: bool = True
) -> Manifest:
    """Write a bundle whole or not at all; returns the manifest with its digests. members: bytes, or
    arrays [N, …] that become an .npz. replaces_others: whether a bundle of another seal may be
    replaced. Raises GenbenchError for one that may not, and for a full disk."""
    contents = {name: _bytes(content) for name, content in members.items()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    whole = replace(manifest, digests=digests)
    if not replaces_others and path.exists() and read_bundle(path).manifest.seal() != whole.seal():
        raise GenbenchError(
            f"{path} is there already, with another seal, which may be published: name another file"
        )
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in contents.items():
            archive.writestr(_dated(name), data)
        text = json.dumps(asdict(whole), indent=1, sort_keys=True)
        archive.writestr(_dated(MANIFEST), text)
    return whole


def _bytes(content: bytes | Mapping[str, NDArray[Any]]) -> bytes:
    return content if isinstance(content, bytes) else _npz(content)


def _dated(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # equal content, equal bytes


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{name.replace("/", "|"): array for name, array in arrays.items()})  # type: ignore[arg-type]
    return out.getvalue()


def read_bundle(path: Path) -> Bundle:
    """Open a bundle and check that it is whole: members of the known names, each with the digest
    that the manifest gives.

    Raises GenbenchError for what is no bundle, one of a newer genbench, one cut short, with other
    members, with links or paths, or that claims to be longer than it can be.
    """
    refuse_special(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            _refuse_strange(path, archive)
            manifest = _manifest(path, archive.read(MANIFEST))
            contents = {}
            for name, digest in manifest.digests.items():
                with archive.open(infos[name]) as member:
                    if name == FEATURES:
                        found = _digest(member)
                    else:
                        contents[name] = member.read()
                        found = hashlib.sha256(contents[name]).hexdigest()
                if found != digest:
                    raise GenbenchError(f"{path}: {name} was changed since it was packed: {_AGAIN}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise GenbenchError(f"cannot read {path}: {reason}; check the path") from error
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, NotImplementedError,
            RuntimeError) as error:  # fmt: skip
        raise GenbenchError(f"{path} is no bundle, or is cut short ({error}): {_AGAIN}") from error
    leaves = _arrays(path, LEAVES, contents[LEAVES], "u").get("leaves")
    if leaves is None or leaves.dtype != np.uint8 or leaves.shape != (manifest.samples, 64):
        raise GenbenchError(f"{path}: its leaves are not of {manifest.samples:,} samples: {_AGAIN}")
    moments = _arrays(path, MOMENTS, contents[MOMENTS], "f") if MOMENTS in contents else {}
    return Bundle(
        path=path, manifest=manifest, records=contents[RECORDS], leaves=leaves, moments=moments,
        has_features=FEATURES in manifest.digests,
    )  # fmt: skip


def _digest(member: IO[bytes]) -> str:
    total = hashlib.sha256()
    while chunk := member.read(1 << 22):
        total.update(chunk)
    return total.hexdigest()


def _refuse_strange(path: Path, archive: zipfile.ZipFile) -> None:
    seen = set()
    for info in archive.infolist():
        name = info.filename
        if name not in _MOST or name in seen:
            what = "twice" if name in seen else "which no bundle has"
            raise GenbenchError(f"{path} holds {name!r}, {what}: {_AGAIN}")
        seen.add(name)
        if info.compress_type != zipfile.ZIP_STORED or (info.external_attr >> 28) == 0xA:
            raise GenbenchError(f"{path}: {name} is a link, or packed otherwise: {_AGAIN}")
        if info.file_size > _MOST[name] or claims_too_much(archive, info):
            raise GenbenchError(f"{path}: {name} claims to be longer than it can be: {_AGAIN}")
    if missing := {MANIFEST, RECORDS, LEAVES} - seen:
        raise GenbenchError(f"{path} is no bundle: it has no {', '.join(sorted(missing))}")


def _manifest(path: Path, text: bytes) -> Manifest:
    values = json.loads(text)
    version = values.get("format") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise GenbenchError(
            f"{path} is of format {version}, packed by a newer genbench than this, which reads up "
            f"to {FORMAT}: upgrade genbench"
        )
    manifest = validated_json(text, Manifest, name=f"{path}: {MANIFEST}")
    if set(manifest.digests) | {MANIFEST} != set(_names(path)):
        raise GenbenchError(f"{path}: its members are not those that its manifest lists: {_AGAIN}")
    return manifest


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _arrays(path: Path, name: str, data: bytes, kinds: str, only: str = "") -> dict[str, Any]:
    """The arrays of an .npz that is a member, each of a dtype of `kinds`, by their own names."""
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.namelist():
                key = entry.removesuffix(".npy")
                if only and key.replace("|", "/") != only:
                    continue
                header = array_header(archive, key)
                if header is None or header.dtype.kind not in kinds or not header.whole:
                    raise ValueError(f"{key} is no array of numbers")
                found[key.replace("|", "/")] = read_array(archive, key, header)
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        raise GenbenchError(f"{path}: {name} is damaged ({error}): {_AGAIN}") from error
    return found
