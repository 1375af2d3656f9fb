"""The weights of a card: given by the user, bundled, or downloaded and verified."""

from __future__ import annotations

import importlib
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter, CheckpointSource, ModelCard
from genbench.models.registry import choose_card, find_adapter, load_adapter_class
from genbench.records.measurement import WeightKind
from genbench.runtime.digests import file_sha256
from genbench.weights.files import WeightFile, obtain, weights_of
from genbench.weights.loading import damaged


def find_checkpoint(
    adapter: type[Adapter], card: ModelCard, given: str
) -> tuple[Path | None, WeightKind]:
    """The checkpoint file, downloaded when it must be, and its kind; None without weights.

    given: what the user passed as --checkpoint; empty for the card's own. Raises GenbenchError or
    UsageError with the remedy.
    """
    source = card.checkpoint
    if given:
        path = _given_checkpoint(given, source.filename if source else "")
        published = bool(source and source.sha256 and file_sha256(path) == source.sha256.lower())
        return path, "official" if published else weights_origin(path)
    if source is None:
        return None, "none"
    if source.bundled:
        path = bundled_file(adapter, source)
        if not path.exists():
            raise GenbenchError(
                f"bundled weights {path} are missing: reinstall the package of {card.name}"
            )
        return path, source.kind
    if not source.url:
        raise GenbenchError(
            f"no public weights of {card.name} are known: pass --checkpoint PATH with your own"
            + (f"; {source.hint}" if source.hint else "")
        )
    if not source.sha256:
        raise GenbenchError(
            f"{card.name} needs {source.filename}, published at {source.url} without a digest: "
            "download it and pass --checkpoint PATH, or, knowing its SHA-256, --checkpoint "
            f"{source.url}#sha256=…"
        )
    published_file = WeightFile(
        filename=source.filename, url=source.url, sha256=source.sha256, published_at=source.url
    )
    return obtain(published_file), source.kind


def named_weights(name: str, resolution: int) -> Path:
    """The weights file of a model's card, or the file or folder that `name` is the path of.

    resolution: of the card; 0 for the first. Raises GenbenchError or UsageError with the remedy.
    """
    if Path(name).exists() or "/" in name:
        return _given_checkpoint(name)
    adapter = load_adapter_class(find_adapter(name))
    card = choose_card(adapter.cards, name, "", resolution)
    checkpoint, _ = find_checkpoint(adapter, card, "")
    if checkpoint is None:
        raise UsageError(f"model {name} has no weights: name another")
    return checkpoint


def bundled_file(adapter: type[Adapter], source: CheckpointSource) -> Path:
    """Where weights that ship with an adapter's package lie, whether they are there or not."""
    module = importlib.import_module(adapter.__module__)
    return Path(module.__file__ or "").parent / source.bundled


def _given_checkpoint(given: str, own: str = "") -> Path:
    if "://" not in given:
        path = Path(given)
        if not path.exists():
            if Path(f"{given}.index").exists():
                raise UsageError(
                    f"{given} is a TensorFlow checkpoint: convert it first, genbench convert MODEL "
                    f"{given} --out FILE.safetensors"
                )
            raise UsageError(f"checkpoint {given} does not exist: check the path")
        return weights_of(path, own)
    url, _, digest = given.partition("#sha256=")
    if not digest:
        raise UsageError(f"cannot verify {url}: append #sha256=… with the file's published digest")
    name = url.rsplit("/", 1)[-1]
    return obtain(WeightFile(filename=name, url=url, sha256=digest, published_at=url))


def weights_origin(path: Path) -> WeightKind:
    """What a file that the user named says of itself: genbench writes "genbench.kind" into the
    metadata of the safetensors it trains or converts; anything else is just "given"."""
    if path.suffix != ".safetensors":
        return "given"
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("genbench.kind", "")
    except (SafetensorError, OSError) as error:
        raise damaged(path, str(error).splitlines()[0]) from error
    return kind if kind in ("trained-here", "converted") else "given"
