"""The command that would fill a gap in a table of what is on record."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

from genbench.records.kinds import QualityRecord, Record
from genbench.tables.columns import Column

_DECODED = " decoded by "  # in the names of images made of stored latents


def command_for(record: Record, column: Column, like: QualityRecord | None) -> str:
    """What measures the missing figure of a row: of the same model, weights and options.

    record: of the row. like: of the column, a figure of the protocol and count that are wanted;
    None for a column of speeds. Empty where nothing can: a set of images has no speed, and where
    latents or features lay may be on no record.
    """
    words = _model(record) if record.card else _images(record)
    if not words or (like is None and not record.card):
        return ""
    words += ["--dtype", record.arithmetic] if record.arithmetic else []
    words += ["--name", record.name] if record.name else []
    if like is None:
        return "genbench throughput " + shlex.join(words)
    assert isinstance(record, QualityRecord)
    words += ["--seed", str(record.seed)] if record.seed else []
    words += ["--protocol", like.protocol.rstrip("*"), "-n", str(like.samples)]
    return "genbench fid " + shlex.join([*words, "--metric", column.metric])


def _model(record: Record) -> list[str]:
    """Model, size, variant, weights and the family's own options."""
    words = ["--model", record.model, "--res", str(record.resolution)]
    if record.card != record.model and not _is_opened(record.model):
        words += ["--variant", record.card]
    if given := _checkpoint_of(record):
        words += ["--checkpoint", given]
    for name, value in record.options.items():
        if value in (None, "") or name == "compile":
            continue
        option = f"--{name.replace('_', '-')}"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if file := re.fullmatch("(.+) [0-9a-f]{64}", text):  # its name and digest are on record
            text = (_given(record.environment.command, option) or [file[1]])[0]
        # A value such as -1,1 would be taken for an option.
        words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return words


def _is_opened(model: str) -> bool:
    """Whether a model's name is that of its file, folder or code, which has one variant."""
    return ":" in model or model.lower().endswith((".onnx", ".pt2"))


def _checkpoint_of(record: Record) -> str:
    """The weights as the command that made the record named them; empty: the model's own, or those
    that its name names."""
    given = _given(record.environment.command, "--checkpoint")
    if len(given) == 1:
        return given[0]
    if _is_opened(record.model) and record.model.endswith(record.checkpoint):
        return ""
    return record.checkpoint if given or record.weight_kind in ("given", "converted") else ""


def _images(record: Record) -> list[str]:
    """A set of images as the command that made the record named it; nothing where that named
    features, or where the set's own name is only a description."""
    words = record.environment.command
    if "fid" not in words[:4]:
        return [] if _DECODED in record.model else ["--samples", record.model]
    first = words[words.index("fid") + 1 :][:1]
    named = _given(words, "--samples") or [word for word in first if not word.startswith("-")]
    if len(named) != 1:
        return []
    decode = _given(words, "--decode")
    return ["--samples", named[0], *(["--decode", decode[0]] if decode else [])]


def _given(words: Sequence[str], option: str) -> list[str]:
    """What followed an option of a command line, each time that it was given."""
    given = [after for word, after in pairwise(words) if word == option]
    return given + [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
