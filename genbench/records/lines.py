"""Records as lines of JSON: written in the newest format, read in every format there has been."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from genbench.errors import GenbenchError
from genbench.records.kinds import QualityRecord, Record, SpeedRecord
from genbench.records.upgrade import from_format_1
from genbench.runtime.validated import json_schema, validated

FORMAT = 2  # of the lines written; raised when a reader of the last one would misread them


def to_line(record: Record) -> str:
    """One line of JSON, every digit kept; names of files that are no text in any encoding with "?"
    for what is none. Raises ValueError for NaN and infinity."""
    values = {"format": FORMAT, **asdict(record)}
    line = json.dumps(values, allow_nan=False, ensure_ascii=False)
    return json.dumps(json.loads(line.encode(errors="replace")))


def begins_like_a_record(line: bytes) -> bool:
    """Whether bytes are the beginning of a line that some version of genbench wrote."""
    begins = (b'{"format": ', b'{"model": ')
    return any(line.startswith(begin[: len(line)]) for begin in begins)


def is_record_line(line: bytes) -> bool:
    """Whether bytes are a whole record of this genbench or another, damaged values and all."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"metric", "value"} <= values.keys()


def from_line(line: str | bytes, *, name: object = "this record") -> Record:
    """Inverse of `to_line`, also of what earlier versions of genbench wrote.

    name: of the file and line, for the refusal. Raises GenbenchError for a line that is no record,
    and for one of a newer genbench.
    """
    try:
        values: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        told = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:100]
        if told.startswith("Extra data"):
            raise GenbenchError(
                f"{name} holds more than one record, or something behind it: break the line there"
            ) from error
        raise GenbenchError(
            f"{name} is not a genbench record ({told}): remove that line"
        ) from error
    if not isinstance(values, dict):
        raise GenbenchError(f"{name} is not a genbench record: remove that line")
    version = values.pop("format", 1)
    if not isinstance(version, int) or version < 1:
        raise GenbenchError(f"{name} is of no known format ({version}): remove that line")
    if version > FORMAT:
        raise GenbenchError(
            f"{name} is of format {version}, written by a newer genbench than this, which reads up "
            f"to {FORMAT}: upgrade genbench"
        )
    if version == 1:
        values = _upgraded(values, name)
    kinds = {"quality": QualityRecord, "speed": SpeedRecord}
    kind = kinds.get(str(values.get("kind")))
    if kind is None:
        raise GenbenchError(f"{name} is a record of no known kind: remove that line")
    try:
        return validated(values, kind, name=name)
    except GenbenchError as problem:
        raise GenbenchError(
            f"{problem}; or remove that line: another genbench wrote it, or it was changed since"
        ) from problem


def _upgraded(values: dict[str, Any], name: object) -> dict[str, Any]:
    try:
        return from_format_1(values, name=name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GenbenchError(
            f"{name} is a damaged record of format 1 ({type(error).__name__}: {error}): remove "
            "that line"
        ) from error


def record_schema() -> dict[str, Any]:
    """The JSON Schema of a line."""
    from pydantic import Field

    schema = json_schema(Annotated[Record, Field(discriminator="kind")])
    for kind in (QualityRecord, SpeedRecord):
        schema["$defs"][kind.__name__]["properties"]["format"] = {"const": FORMAT}
        schema["$defs"][kind.__name__]["required"].append("format")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "genbench record",
        "description": "One line of a record file: a figure of quality or of speed, with "
        "everything needed to cite it.",
        **schema,
    }
