"""Which columns of a table hold pictures and labels, and what the classes are called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.errors import UsageError

_IMAGES = ("image", "img", "jpg", "png", "webp")
_LABELS = ("label", "labels", "fine_label", "cls", "class", "class_label")
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TEXTS = ("string", "large_string")
_SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """The columns that are read.

    image: its name. nested: whether it is a struct with `bytes` and `path`, as the Hub's datasets
    write pictures. label: its name, or empty. texts: whether labels are names of classes. classes:
    a name for each label that is a number, or empty.
    """

    image: str
    nested: bool
    label: str
    texts: bool
    classes: tuple[str, ...]


def chosen_columns(schema: Any, where: str, asked: str = "") -> Columns:
    """The columns of a pyarrow.Schema to read. asked: the image column's name, or "image,label", or
    "image," for no labels.

    Pictures are bytes, or a struct with bytes. Without a name the only such column is taken, or
    that called image, img, jpg, png or webp. Raises UsageError naming the columns where none or
    several would do, and for labels that are neither whole numbers nor texts.
    """
    held = dict(zip(schema.names, schema.types, strict=True))
    described = _described(held)
    usable = [name for name, kind in held.items() if _holds_bytes(kind)]
    image, comma, label = asked.partition(",")
    for name in (image, label):
        if name and name not in held:
            raise UsageError(
                f"{where} has no column {name}; it has {described}: correct the name behind #"
            )
    if image and image not in usable:
        raise UsageError(f"{where}: {image} holds no encoded pictures (bytes); it has {described}")
    if not image:
        called = [name for name in _IMAGES if name in usable]
        if not usable:
            raise UsageError(
                f"{where} has no image column (bytes, or a struct with bytes); it has {described}: "
                "write the encoded pictures into one"
            )
        if len(usable) > 1 and not called:
            raise UsageError(
                f"{where} has several columns that may hold pictures: {', '.join(usable)}; name "
                f"one, as FILE#{usable[0]}"
            )
        image = called[0] if called else usable[0]
    if not comma:
        label = _label_among(held)
    if label and not _holds_labels(held[label]):
        raise UsageError(
            f"{where}: {label} ({str(held[label])[:40]}) holds no labels, whole numbers or texts: "
            f"name another column, as FILE#{image},COLUMN, or none, as FILE#{image},"
        )
    texts = bool(label) and _kind(held[label]) in _TEXTS
    return Columns(image, _is_struct(held[image]), label, texts, _classes(schema, label))


def _label_among(held: Mapping[str, Any]) -> str:
    """The column that is called as labels are, if possible one that holds some; or empty. Masks,
    which are pictures too, are none."""
    called = [name for name in _LABELS if name in held and not _holds_bytes(held[name])]
    return next((name for name in called if _holds_labels(held[name])), (called or [""])[0])


def _described(held: Mapping[str, Any]) -> str:
    shown = [f"{name} ({str(kind)[:40]})" for name, kind in list(held.items())[:_SHOWN]]
    return (", ".join(shown) or "no columns") + ", …" * (len(held) > _SHOWN)


def _is_struct(kind: Any) -> bool:
    return str(kind).startswith("struct<")


def _holds_bytes(kind: Any) -> bool:
    if _is_struct(kind):
        inner = {field.name: field.type for field in kind}
        return "bytes" in inner and str(inner["bytes"]) in ("binary", "large_binary")
    return str(kind) in ("binary", "large_binary")


def _holds_labels(kind: Any) -> bool:
    return _kind(kind) in (*_WHOLE, *_TEXTS, "null")


def _kind(kind: Any) -> str:
    """The kind of a column's values; of a dictionary (as of pandas' categories) those it is of."""
    return str(kind.value_type if str(kind).startswith("dictionary<") else kind)


def _classes(schema: Any, label: str) -> tuple[str, ...]:
    """The classes' names that datasets keeps in the schema; empty where it does not."""
    try:
        held = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = held["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
