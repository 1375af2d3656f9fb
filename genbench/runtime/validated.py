"""The one reader of TOML and JSON that people write: dataclasses, every key and value checked.

pydantic does the checking: typer brings it anyway, it reads ordinary dataclasses strictly (no text
where a number belongs, no unknown keys), and the same types give a record's JSON Schema. A bound is
written where the field is: `Annotated[int, Ge(1)]` (the package annotated-types).
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from genbench.errors import GenbenchError, suggestion
from genbench.runtime.files import refuse_special

T = TypeVar("T")
Place = tuple[int | str, ...]  # keys and positions from the top of a file down to a value
_WORDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table of keys",
    "dataclass_type": "a table of keys",
    "dataclass_exact_type": "a table of keys",
}


def read_toml(path: Path, *, error: type[GenbenchError] = GenbenchError) -> dict[str, Any]:
    """What a TOML file holds, unchecked. Raises `error` naming the file and the remedy,
    GenbenchError for a device or a pipe."""
    refuse_special(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise error(f"{path} is missing: check the path, or reinstall genbench") from problem
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror}; check the path") from problem
    except RecursionError as problem:
        raise error(f"{path} nests lists or tables too deep: correct it") from problem
    except ValueError as problem:  # no TOML, no UTF-8, or a number too long for Python
        raise error(f"{path} is not valid TOML ({problem}): correct that line") from problem


def validated(
    values: Any, kind: type[T], *, name: object, error: type[GenbenchError] = GenbenchError
) -> T:
    """Values as TOML or JSON gives them, as a `kind`: a dataclass, or a type built of such.

    name: of the file, for the refusal. Raises `error` with the file, the key, the value and the
    remedy for an unknown or a missing key, a value of another kind or beyond its bounds, and for
    what a dataclass itself refuses.
    """
    try:
        if place := _not_finite(values):
            raise error(f"{name}: {_spelled(place)} is no finite number: correct it")
        # As JSON, where lists may become tuples and a whole number may stand for any number.
        text = json.dumps(values, default=str)
    except RecursionError as problem:
        raise error(f"{name} nests lists or tables too deep: correct it") from problem
    except ValueError as problem:
        raise error(f"{name} holds a number that is too long: correct it") from problem
    return validated_json(text, kind, name=name, error=error)


def validated_json(
    text: str | bytes, kind: type[T], *, name: object, error: type[GenbenchError] = GenbenchError
) -> T:
    """`validated`, of JSON text."""
    from pydantic import ValidationError

    try:
        found: T = _adapter(cast(Any, kind)).validate_json(text, strict=True, extra="forbid")
        return found
    except ValidationError as problem:
        raise error(f"{name}: {_refusal(kind, problem.errors(include_url=False))}") from problem
    except GenbenchError as problem:  # from a dataclass's own check of its fields together
        raise error(f"{name}: {problem}") from problem


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type."""
    return dict(_adapter(kind).json_schema())


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _not_finite(values: Any, place: Place = ()) -> Place:
    """Where a NaN or an infinity stands, which TOML can write and no key takes; empty: nowhere."""
    if isinstance(values, float) and not math.isfinite(values):
        return place
    items: Iterator[tuple[int | str, Any]] = iter(())
    if isinstance(values, Mapping):
        items = iter(values.items())
    elif isinstance(values, list | tuple):
        items = iter(enumerate(values))
    return next(filter(None, (_not_finite(item, (*place, key)) for key, item in items)), ())


def _refusal(kind: Any, problems: Sequence[Mapping[str, Any]]) -> str:
    """One line on what is wrong: unknown keys first, then missing ones, then the first value."""
    problems = _with_likeliest(kind, problems)
    for problem in problems:
        if problem["type"] == "unexpected_keyword_argument":
            *within, key = problem["loc"]
            known = [item.name for item in _fields(_hint_at(kind, within))]
            place = _spelled(problem["place"])
            return f"there is no key {place}; {suggestion(str(key), known)}"
    if lacking := [problem["place"] for problem in problems if problem["type"] == "missing"]:
        return f"lacks {', '.join(map(_spelled, lacking))}: add what is missing"
    return _refused_value(kind, problems[0])


def _with_likeliest(kind: Any, problems: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The problems, each with its `place`. Where a value may be one of several dataclasses,
    pydantic tells the problems with each of them and puts its name into `loc`: only those with the
    one that the value is most like are kept."""
    kept: list[dict[str, Any]] = []
    of_unions: dict[Place, dict[str, list[dict[str, Any]]]] = {}
    for problem in problems:
        loc = problem["loc"]
        at = next((at for at in range(len(loc)) if _member(_hint_at(kind, loc[:at]), loc[at])), -1)
        if at < 0:
            kept.append({**problem, "place": loc})
            continue
        found = {**problem, "place": (*loc[:at], *loc[at + 1 :])}
        of_unions.setdefault(loc[:at], {}).setdefault(loc[at], []).append(found)
    for members in of_unions.values():
        likeliest: list[dict[str, Any]] = min(members.values(), key=_unlikeness)
        kept += likeliest
    return kept


def _member(hint: Any, name: int | str) -> Any:
    """The dataclass of that name of a union of several; None where there is none."""
    members = [item for item in get_args(hint) if dataclasses.is_dataclass(item)]
    named = (item for item in members if getattr(item, "__name__", "") == name)
    return next(named, None) if len(members) > 1 else None


def _unlikeness(problems: Sequence[Mapping[str, Any]]) -> tuple[bool, int]:
    """How far a value is from a dataclass: whether its `kind` names another, and the problems."""
    kinds = (item["loc"][-1] == "kind" and item["type"] == "literal_error" for item in problems)
    return any(kinds), len(problems)


def _refused_value(kind: Any, problem: Mapping[str, Any]) -> str:
    if problem["type"] == "value_error":  # a dataclass's own check of its fields together
        return str(problem["ctx"]["error"])
    place, value = _spelled(problem["place"]), problem["input"]
    hint = _hint_at(kind, problem["loc"])
    if problem["type"] == "literal_error":
        known = [str(item) for item in get_args(_plain(hint)) if item != ""]
        return f"{place} {value} is not one; {suggestion(str(value), known)}"
    if remedy := _within_bounds(hint, problem["type"]):
        return f"{place} {value} cannot be: {remedy}"
    if problem["type"] in ("too_short", "string_too_short"):
        return f"{place} {value!r} is too short: give {problem['ctx']['min_length']} or more"
    if problem["type"] in ("too_long", "string_too_long"):
        return f"{place} {value!r} is too long: give {problem['ctx']['max_length']} at most"
    if problem["type"] in _WORDS:
        return f"{place} {reprlib.repr(value)} is not {_WORDS[problem['type']]}: correct it"
    return f"{place} {reprlib.repr(value)} cannot be: {problem['msg']}"


def _within_bounds(hint: Any, problem: str) -> str:
    """What to give instead of a number beyond the bounds of its field; empty for other problems."""
    if problem not in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return ""
    limits = {name: getattr(item, name) for item in getattr(hint, "__metadata__", ())
              for name in ("gt", "ge", "lt", "le") if hasattr(item, name)}  # fmt: skip
    if set(limits) == {"ge", "le"}:
        return f"give {limits['ge']:g} to {limits['le']:g}"
    words = {"gt": "more than {:g}", "ge": "{:g} or more", "lt": "less than {:g}",
             "le": "at most {:g}"}  # fmt: skip
    return "give " + " and ".join(words[name].format(limits[name]) for name in words
                                  if name in limits)  # fmt: skip


def _spelled(place: Sequence[int | str]) -> str:
    """A place as a person writes it: row[2].measured.samples."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f"{'.' * bool(text)}{key}"
    return text or "the whole"


def _hint_at(kind: Any, place: Sequence[int | str]) -> Any:
    """The annotation of the value at a place."""
    for key in place:
        if member := _member(kind, key):
            kind = member
            continue
        kind = _plain(kind)
        if dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind, include_extras=True).get(str(key), Any)
        elif isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
            kind = get_args(kind)[1]
        elif hasattr(kind, "_fields") and isinstance(key, int):  # a named tuple
            kind = get_type_hints(kind, include_extras=True)[kind._fields[key]]
        elif get_origin(kind) in (list, tuple):
            items = [item for item in get_args(kind) if item is not Ellipsis]
            kind = items[key] if isinstance(key, int) and key < len(items) else items[-1]
    return kind


def _plain(hint: Any) -> Any:
    """An annotation without bounds, and without None beside it."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(item for item in get_args(hint) if item is not type(None)))
    return hint


def _fields(kind: Any) -> Sequence[dataclasses.Field[Any]]:
    plain = _plain(kind)
    return dataclasses.fields(plain) if dataclasses.is_dataclass(plain) else ()
