"""tf.train.Example, read without copying: where each feature's values stand in a record.

The messages are those of tensorflow/core/example/{example,feature}.proto: an Example holds
Features, a map from names to a Feature, which is a list of bytes, of floats or of int64. Written
here, since the pictures' bytes must not be touched to find a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _INT64_LIST = 1, 3


@dataclass(slots=True)
class Feature:
    """Values of one feature; floats are passed over.

    pieces: (first, last + 1) of each bytes value in the record. numbers: each int64 value.
    """

    pieces: list[tuple[int, int]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def features_of(record: memoryview) -> dict[str, Feature]:
    """The features of an Example by their names. Raises ValueError for what is none."""
    found: dict[str, Feature] = {}
    for number, first, last in _fields(record, 0, len(record)):
        if number != 1:
            continue
        for kind, begin, end in _fields(record, first, last):
            if kind == 1:
                name, feature = _entry(record, begin, end)
                found[name] = feature
    return found


def _entry(record: memoryview, first: int, last: int) -> tuple[str, Feature]:
    name, feature = "", Feature()
    for number, begin, end in _fields(record, first, last):
        if number == 1:
            name = bytes(record[begin:end]).decode("utf-8")
        elif number == 2:
            feature = _feature(record, begin, end)
    return name, feature


def _feature(record: memoryview, first: int, last: int) -> Feature:
    feature = Feature()
    for kind, begin, end in _fields(record, first, last):
        if kind == _BYTES_LIST:
            feature.pieces += [(one, other) for _, one, other in _fields(record, begin, end)]
        elif kind == _INT64_LIST:
            feature.numbers += _numbers(record, begin, end)
    return feature


def _numbers(record: memoryview, first: int, last: int) -> Iterator[int]:
    """Numbers of an Int64List: packed, or each with its own tag."""
    position = first
    while position < last:
        tag, position = _varint(record, position, last)
        if tag & 7 == _VARINT:
            value, position = _varint(record, position, last)
            yield _signed(value)
            continue
        if tag & 7 != _LENGTH:
            raise ValueError("a list of whole numbers holds other things")
        length, position = _varint(record, position, last)
        end = position + length
        if end > last:
            raise ValueError("a list is longer than its record")
        while position < end:
            value, position = _varint(record, position, end)
            yield _signed(value)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _fields(record: memoryview, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Number and bounds of each field of a message that has a length; the others are passed."""
    position = first
    while position < last:
        tag, position = _varint(record, position, last)
        kind = tag & 7
        if kind == _LENGTH:
            length, position = _varint(record, position, last)
            if position + length > last:
                raise ValueError("a field is longer than its record")
            yield tag >> 3, position, position + length
            position += length
        elif kind == _VARINT:
            _, position = _varint(record, position, last)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is no message of protocol buffers")
    if position != last:
        raise ValueError("a field ends beyond its record")


def _varint(record: memoryview, position: int, last: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and the position behind it."""
    value = shift = 0
    while position < last and shift < 70:
        byte = record[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), position
        shift += 7
    raise ValueError("a number has no end")
