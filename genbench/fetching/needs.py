"""Which published files a model, a detector, a reference, a protocol or a table needs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.detectors.published_weights import detector_weight
from genbench.detectors.registry import detector_module, detector_names
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.checkpoints import address_of
from genbench.models.companions import CHECKPOINT, files_by_option
from genbench.models.contract import Adapter, ModelCard
from genbench.models.opening import ModelRequest, ResolvedModel, resolve
from genbench.models.registry import adapter_entries, load_adapter_class
from genbench.quality.known_references import find_reference, load_references
from genbench.records.protocols import EvalProtocol, find_protocol, load_protocols
from genbench.tables.measured import MeasuredSelector
from genbench.tables.specs import TableSpec
from genbench.weights.files import WeightFile


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A published file, and what it is for, in words."""

    what: str
    file: WeightFile


@dataclass(frozen=True, kw_only=True)
class Needs:
    """files: each once. notes: what else is needed and cannot be fetched, a line each."""

    files: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()


def together(parts: Iterable[Needs]) -> Needs:
    """All that the parts need, each file and note once."""
    files: dict[Path, Wanted] = {}
    notes: dict[str, None] = {}
    for part in parts:
        for wanted in part.files:
            files.setdefault(wanted.file.relative, wanted)
        notes |= dict.fromkeys(part.notes)
    return Needs(files=tuple(files.values()), notes=tuple(notes))


def of_card(adapter: Adapter, card: ModelCard) -> Needs:
    """The weights of a variant and the files beside them, as the adapter's options need them."""
    source = card.checkpoint
    files = files_by_option(adapter, card)
    if CHECKPOINT not in files and source and not source.bundled:
        hint = f": {source.hint}" if source.hint else ""
        return Needs(notes=(f"no weights of {card.name} are public{hint}",))
    return Needs(files=tuple(
        Wanted(what=f"{file.filename} of {card.name}", file=file) for file in files.values()
    ))  # fmt: skip


def of_detector(name: str) -> Needs:
    """A detector's weights. Raises UsageError for an unknown one."""
    weight = detector_weight(name)
    lacking = detector_module(name).missing_code(name)
    notes = (f"detector {name}: {lacking}",) if lacking else ()
    if weight is None or not weight.url:
        return Needs(notes=notes)
    return Needs(files=(Wanted(what=f"detector {name}", file=weight),), notes=notes)


def of_reference(spec: str) -> Needs:
    """A published reference; nothing for images of the user's own. Raises UsageError for a
    publisher's name with no such file."""
    known = find_reference(spec)
    if known is None or Path(spec).exists():
        return Needs()
    if known.published is None:
        return Needs(notes=(f"reference {known.name}: {known.how_to_get}",))
    return Needs(files=(Wanted(what=f"reference {known.name}", file=known.published),))


def of_protocol(protocol: EvalProtocol) -> Needs:
    """The detector's weights and the reference of a protocol."""
    return together([of_detector(protocol.detector), of_reference(protocol.reference)])


def of_run(
    model: ResolvedModel | None, protocol: EvalProtocol | None, *, reference: str = "",
    own_detector: bool = False,
) -> Needs:  # fmt: skip
    """What drawing and measuring need. model: whose samples these are, without a checkpoint of the
    user's. protocol: that they are measured under; None: they are only drawn. reference: that the
    user named; empty: the protocol's. own_detector: whether the user brings the detector's
    weights."""
    parts = []
    if model is not None and not model.request.checkpoint:
        parts.append(of_card(model.adapter, model.card))
    if protocol is not None:
        parts.append(of_reference(reference or protocol.reference))
        if not own_detector:
            parts.append(of_detector(protocol.detector))
    return together(parts)


def of_table(spec: TableSpec) -> Needs:
    """What the rows that genbench measures need, by the options that their commands pass. Raises
    GenbenchError for a row of a model or protocol that there is not."""
    parts = []
    for row in spec.rows:
        if row.measured is None:
            continue
        parts.append(_of_row(row.measured))
        quality = [column for column in spec.columns if column.measured and column.quality]
        names = dict.fromkeys(row.measured.protocol_of(column) for column in quality)
        parts += [of_protocol(find_protocol(name)) for name in names if name]
    return together(parts)


def _of_row(measured: MeasuredSelector) -> Needs:
    model = resolve(
        ModelRequest(
            name=measured.model, resolution=measured.resolution, variant=measured.variant,
            options=pairs(shlex.split(measured.arguments)),
        ), lenient=True,
    )  # fmt: skip
    return together([of_card(model.adapter, model.card), of_reference(measured.reference)])


def pairs(words: Sequence[str]) -> dict[str, str]:
    """`--steps 250 --upsample` as a model's options. Raises UsageError for other words."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"{word!r} is not expected here: names first, then options")
        key, has_value, value = word[2:].partition("=")
        if not has_value:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        found[key] = value
    return found


def of_name(name: str, *, resolution: int = 0, options: Mapping[str, str] | None = None) -> Needs:
    """What a name needs: of a model or a variant (with these options), a detector, a protocol, a
    published reference, or an address as --checkpoint takes it. Raises UsageError for another."""
    if (address := address_of(name)) is not None:
        return Needs(files=(Wanted(what=address.filename, file=address),))
    families = {entry.name for entry in adapter_entries()}
    variants = dict(_variants())
    if name in families or name in variants:
        family = name if name in families else variants[name]
        request = ModelRequest(
            name=family, variant="" if name in families else name, resolution=resolution,
            options=options or {},
        )  # fmt: skip
        model = resolve(request)
        if name in families and not resolution:
            _refuse_several(name, model.adapter.cards)
        return of_card(model.adapter, model.card)
    if name in load_protocols():
        return of_protocol(find_protocol(name))
    if name in detector_names():
        return of_detector(name)
    if find_reference(name) is not None:
        return of_reference(name)
    known = [*families, *variants, *load_protocols(), *detector_names(), *load_references()]
    nearest = suggestion(name, known).partition("known:")[0]
    raise UsageError(f"nothing to fetch is named {name}; {nearest}genbench fetch --list lists all")


def is_model(name: str) -> bool:
    """Whether a name is of a model or of a variant, which take options."""
    return name in {entry.name for entry in adapter_entries()} or name in dict(_variants())


def everything() -> Needs:
    """All published files that genbench knows by name."""
    parts = []
    for entry in adapter_entries():
        try:
            adapter = resolve(ModelRequest(name=entry.name)).adapter
        except GenbenchError:
            continue  # a broken package: `genbench doctor` says why
        parts += [replace(of_card(adapter, card), notes=()) for card in adapter.cards]
    parts += [of_detector(name) for name in _working_detectors()]
    parts += [of_reference(name) for name in load_references()]
    return replace(together(parts), notes=())


def _working_detectors() -> list[str]:
    found = []
    for name in detector_names():
        try:
            detector_module(name)
        except GenbenchError:
            continue
        found.append(name)
    return found


def _variants() -> Iterable[tuple[str, str]]:
    """Every variant's name with its family's."""
    for entry in adapter_entries():
        try:
            cards = load_adapter_class(entry).cards
        except GenbenchError:
            continue
        yield from ((card.name, entry.name) for card in cards)


def _refuse_several(name: str, cards: Sequence[ModelCard]) -> None:
    wanting = [card.name for card in cards if card.checkpoint and card.checkpoint.url]
    if len(wanting) > 1:
        raise UsageError(
            f"{name} has several variants to fetch: name one of {', '.join(wanting)}, or pass --res"
        )
