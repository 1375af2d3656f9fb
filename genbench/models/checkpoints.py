"""The weights of a card: given by the user, bundled, or fetched and verified."""

from __future__ import annotations

import importlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from genbench.errors import GenbenchError, UsageError
from genbench.models.companions import published_file
from genbench.models.contract import Adapter, CheckpointSource, ModelCard
from genbench.models.registry import choose_card, find_adapter, load_adapter_class
from genbench.records.measurement import WeightKind
from genbench.runtime.progress import in_percent
from genbench.runtime.progress_bars import ProgressBars
from genbench.weights.addresses import hub_address
from genbench.weights.files import WeightFile, locate, matches, obtain, weights_of
from genbench.weights.hub import with_configuration
from genbench.weights.loading import damaged


def find_checkpoint(
    adapter: type[Adapter], card: ModelCard, given: str
) -> tuple[Path | None, WeightKind]:
    """The checkpoint file and its kind; None without weights.

    given: what the user passed as --checkpoint; empty for the card's own. A file with a published
    digest is downloaded where it must be, one without only where the user asked for it (`genbench
    fetch`). Raises GenbenchError or UsageError with the remedy.
    """
    source = card.checkpoint
    if given:
        path = given_checkpoint(given, source.filename if source else "")
        return path, "official" if source and _is_published(source, path) else weights_origin(path)
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
    published = published_file(source)
    if not (source.sha256 or locate(published, None)):
        raise GenbenchError(
            f"{card.name} needs {source.filename}, published at {source.url} without a digest: "
            f"genbench fetch {card.name} brings it and pins its digest, or pass --checkpoint PATH"
        )
    return _fetched(published), source.kind


def _is_published(source: CheckpointSource, path: Path) -> bool:
    """Whether a file is, by its digest, the published one of a source."""
    return bool(source.url or source.sha256) and matches(published_file(source), path)


def named_weights(name: str, resolution: int) -> Path:
    """The weights file of a model's card, or the file or folder that `name` is the path of.

    resolution: of the card; 0 for the first. Raises GenbenchError or UsageError with the remedy.
    """
    if Path(name).exists() or "/" in name:
        return given_checkpoint(name)
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


def given_checkpoint(given: str, own: str = "") -> Path:
    """The weights file that --checkpoint names: a path, an address or a file of the Hub, which are
    fetched. own: the file's name in a folder. Raises GenbenchError or UsageError with the remedy.
    """
    named = address_of(given)
    if named is not None:
        if given.startswith("hf:") and locate(named, None) is None:
            with_configuration(named)
        return _fetched(named)
    path = Path(given)
    if not path.exists():
        if Path(f"{given}.index").exists():
            raise UsageError(
                f"{given} is a TensorFlow checkpoint: convert it first, genbench convert MODEL "
                f"{given} --out FILE.safetensors"
            )
        raise UsageError(f"checkpoint {given} does not exist: check the path")
    return weights_of(path, own)


def address_of(given: str) -> WeightFile | None:
    """The file that URL#sha256=DIGEST, URL or hf:OWNER/REPO/FILE@REVISION names; None for a path.
    Raises UsageError for an address without a file name."""
    if given.startswith("hf:"):
        url, digest = hub_address(given), ""
    elif "://" in given:
        url, _, digest = given.partition("#sha256=")
    else:
        return None
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not name:
        raise UsageError(f"{url} names no file: pass the address of the weights themselves")
    return WeightFile(filename=name, url=url, sha256=digest, published_at=url)


def _fetched(file: WeightFile) -> Path:
    """The file, fetched with a bar where it is not here; a digest that is pinned is told."""
    bars = ProgressBars(leads=True)
    if locate(file, None):
        return obtain(file, told=bars.note)
    with bars.task(f"{file.filename}, percent", 100) as advance:
        return obtain(file, progress=in_percent(advance), told=bars.note)


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
