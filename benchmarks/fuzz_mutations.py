"""Damage to files, each a function of a random generator alone: bytes, numbers, and what a format
holds inside (members of zips, values of JSON and TOML, operations of pickles, chunks of PNGs)."""

from __future__ import annotations

import io
import json
import pickletools
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutate = Callable[[Random, bytes, Sequence[bytes]], bytes]  # a file, and others to splice with

_LONGEST = 1 << 18  # bytes of a damaged file: the blows take time too
_BYTES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, *b'\n\r"\\[]{},=:.\x1b')
_NUMBERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000,
            0xFFFFFFFF, 1 << 20, 1 << 24, 1 << 30, 1 << 40, (1 << 63) - 1, 1 << 63,
            (1 << 64) - 1)  # fmt: skip
_TEXTS = (
    b"0", b"1", b"-1", b"2", b"7", b"255", b"256", b"65535", b"65536", b"1000000", b"2147483647",
    b"4294967296", b"-9223372036854775808", b"9223372036854775807", b"18446744073709551616",
    b"1e308", b"1e999", b"-0", b"0.5", b"nan", b"inf", b"NaN", b"1_0", b"0x7f", b"9" * 400,
    b"9" * 5000,
)  # fmt: skip
_WORDS = (
    "", "a", "\0", "\x1b[2J", "two\nlines", "\u2028", "\u202e", "é", "漢" * 50, "x" * 5000, "../..",
    "/etc/passwd", "nan", "inf", "NaN", "1e400", "[", "(" * 200, "a" * 30 + "!", "{0}", "{a.b}",
    "%s", "True", "\U0001f600",
)  # fmt: skip


def bytewise(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One blow to a file that knows nothing of its format."""
    held = bytearray(data)
    if not held:
        return bytes([rng.choice(_BYTES)])
    at = rng.randrange(len(held))
    end = min(len(held), at + rng.choice((1, 1, 2, 4, 8, 16, 64, 512)))
    kind = rng.randrange(9)
    if kind == 0:
        held[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        held[at] = rng.choice(_BYTES)
    elif kind == 2:  # a length or an offset, of whatever width and order
        width, order = rng.choice((1, 2, 4, 8)), rng.choice("<>")
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
        number = rng.choice(_NUMBERS) & ((1 << 8 * width) - 1)
        held[at : at + width] = struct.pack(order + code, number)
    elif kind == 3:
        del held[at:]
    elif kind == 4:
        del held[at:end]
    elif kind == 5:
        held[at:at] = held[at:end] * rng.choice((1, 1, 2, 50))
    elif kind == 6:
        held[at:at] = rng.randbytes(end - at)
    elif kind == 7:
        other = rng.choice(others)
        held[at:] = other[rng.randrange(len(other) + 1) :]
    else:
        held[at:end] = rng.randbytes(end - at)
    return bytes(held)


def numbers(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One number written in digits becomes another."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return bytewise(rng, data, others)
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(_TEXTS) + data[number.end() :]


def several(*kinds: Mutate) -> Mutate:
    """One to four blows, each of one of the kinds."""

    def mutate(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
            data = rng.choice(kinds)(rng, data, others)[:_LONGEST]
        return data

    return mutate


def _hostile(rng: Random) -> Any:
    """A value that nobody expects where it stands."""
    deep: Any = []
    for _ in range(rng.choice((3, 50, 900))):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    values: tuple[Any, ...] = (
        None, True, [], {}, [1], [[]], {"a": 1}, deep, float("nan"), float("inf"), -1, 0, 1 << 64,
        10**400, 1e308, 0.1, rng.choice(_WORDS), rng.choice(_WORDS), [rng.choice(_WORDS)] * 3,
    )  # fmt: skip
    return rng.choice(values)


def _changed(rng: Random, value: Any) -> Any:
    """A value of JSON with one of its parts replaced, lost, doubled or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            return {name: item for name, item in value.items() if name != key}
        if kind == 1:
            return value | {rng.choice((*_WORDS, *value)): _hostile(rng)}
        if kind == 2:
            return {rng.choice(_WORDS) if name == key else name: value[name] for name in value}
        return value | {key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        if rng.random() < 0.3:
            return value[:at] + value[at + 1 :] if rng.random() < 0.5 else [*value, value[at]]
        return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    return _hostile(rng)


def json_values(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One line of JSON with a value changed; bytes where it is none any more."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    try:
        value = _changed(rng, json.loads(lines[at]))
        lines[at] = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode()
    except (ValueError, RecursionError):
        return bytewise(rng, data, others)
    return b"\n".join(lines)


def toml_values(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One line of TOML with another value, another key, doubled or lost."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    key, equals, _ = lines[at].partition(b"=")
    kind = rng.randrange(6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif kind == 2:
        lines[at] = rng.choice((b"[a", b"[[a]]", b"[a.b.c]", b"a.b.c = 1", b'"" = 1', b"[]"))
    elif equals:
        value = rng.choice((
            *_TEXTS, b"true", b"[]", b"{}", b"''", b'"""', b"1979-05-27T07:32:00Z", b"07:32:00",
            b"[" * 2000, b"[" * 200 + b"]" * 200, b"{a=" * 200 + b"1" + b"}" * 200, b"[1, [2]]",
            json.dumps(rng.choice(_WORDS)).encode(), b'["' + rng.choice(_WORDS).encode() + b'"]',
        ))  # fmt: skip
        lines[at] = key + b"= " + value
    else:
        lines[at] = rng.choice(_WORDS).encode() + lines[at]
    return b"\n".join(lines)


def npy(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """An array with another header that is as long as it says, or with damage."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12 or rng.random() < 0.3:
        return rng.choice((bytewise, numbers))(rng, data, others)
    length = struct.unpack("<H", data[8:10])[0]
    text, rest = data[10 : 10 + length].rstrip(), data[10 + length :]
    pieces = (
        (rb"\([^()]*\)", (b"()", b"(1,)", b"(0, 0)", b"(-1, 4)", b"(99999999999, 99999999999)",
                          b"(1000000000,)", b"(1, 2, 3, 4, 5)", b"(True, 2)", b"(1.5,)", b"[2, 2]",
                          b"(" * 500 + b")" * 500, b"(2L, 2L)", b"('a',)")),
        (rb"'[<>|=][a-zA-Z]\d+'", (b"'|O'", b"'<f8'", b"'>f4'", b"'<c16'", b"'<U9999999'", b"'V8'",
                                   b"'<M8[s]'", b"'f4,f4'", b"[('a', '<f4')]", b"''", b"None",
                                   b"[('a', '<f4', (999999999,))]", b"'<f0'", b"'|S0'", b"1",
                                   b"'<i16'", b"('<f4', (2,))", b"{'a': 1}", b"'\\x00'")),
        (rb"True|False", (b"True", b"None", b"1", b"__import__('os')")),
        (rb"'\w+'(?=:)", (b"'shape'", b"'x'", b"1", b"[]")),
    )  # fmt: skip
    pattern, replacements = rng.choice(pieces)
    if found := list(re.finditer(pattern, text)):
        old = rng.choice(found)
        text = text[: old.start()] + rng.choice(replacements) + text[old.end() :]
    else:
        text = numbers(rng, text, others)
    header = text + b" " * (-(len(text) + 11) % 64) + b"\n"
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x04\x00"))
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header) & 0xFFFF)
    return b"\x93NUMPY" + version + size + header + rest


def zip_members(within: Mutate) -> Mutate:
    """A zip whose checksums hold and one of whose members is damaged, renamed, doubled or lost;
    sometimes with sizes and methods that are not so."""

    def mutate(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                held = [(info.filename, archive.read(info)) for info in archive.infolist()]
        except Exception:  # of a file that is no whole zip any more
            return bytewise(rng, data, others)
        if not held:
            return bytewise(rng, data, others)
        at = rng.randrange(len(held))
        name, content = held[at]
        kind = rng.randrange(8)
        if kind == 0:
            del held[at]
        elif kind == 1:
            held.append(held[at])
        elif kind == 2:
            held[at] = (rng.choice((name[:-4], f"a/{name}", f"../{name}", *_WORDS)), content)
        else:
            held[at] = (name, within(rng, content, [member for _, member in held]))
        method = rng.choice((0, 0, 0, 8, 8, 12, 14))
        out = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
            warnings.simplefilter("ignore")  # of names that occur twice
            for name, content in held:
                archive.writestr(zipfile.ZipInfo(name), content, method)
        made = out.getvalue()
        return _with_other_sizes(rng, made) if rng.random() < 0.3 else made

    return mutate


def _with_other_sizes(rng: Random, data: bytes) -> bytes:
    """Another number in a record of the zip's directory: method, checksum, sizes, offset."""
    records = [found.start() for found in re.finditer(rb"PK\x01\x02", data)]
    offset, width = rng.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)))
    at = rng.choice(records) + offset if records else 0
    number = rng.choice(_NUMBERS) & ((1 << 8 * width) - 1)
    return data[:at] + number.to_bytes(width, "little") + data[at + width :]


def safetensors(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Another header that is as long as it says."""
    length = int.from_bytes(data[:8], "little")
    header = rng.choice((json_values, numbers, bytewise))(rng, data[8 : 8 + length], others)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def pickled(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A pickle with operations lost, doubled, moved, taken from another, or put in."""
    try:
        cuts = [0, *(at or 0 for _, _, at in pickletools.genops(data)), len(data)]
    except Exception:  # of one that is whole no more
        return bytewise(rng, data, others)
    start, stop = sorted(rng.sample(cuts, 2)) if rng.random() < 0.3 else _one(rng, cuts)
    kind = rng.randrange(5)
    if kind == 0:
        return data[:start] + data[stop:]
    if kind == 1:
        return data[:stop] + data[start:stop] * rng.choice((1, 1, 1000)) + data[stop:]
    if kind == 2:
        at = rng.choice(cuts)
        return data[:at] + data[start:stop] + data[at:]
    if kind == 3:
        return data[:start] + bytewise(rng, data[start:stop], others) + data[stop:]
    number = struct.pack("<I", rng.choice(_NUMBERS) & 0xFFFFFFFF)
    put = rng.choice((
        b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"R", b"b",
        b"0", b"2", b"(", b"t", b"}", b"]", b"N", b"\x81", b"\x86", b"\x85", b"a", b"s", b"u",
        b"J" + number, b"B" + number, b"X" + number, b"T" + number, b"j" + number, b"r" + number,
        b"\x8b\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 7 + b"\x7f", b"\x95" + b"\xff" * 7 + b"\x7f",
        b"(((" * 9000, b"\x85" * 9000, b"Q", b"P0\n", b"\x82\x01",
    ))  # fmt: skip
    return data[:start] + put + data[start:]


def _one(rng: Random, cuts: Sequence[int]) -> tuple[int, int]:
    at = rng.randrange(len(cuts) - 1)
    return cuts[at], cuts[at + 1]


def png_chunks(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One chunk damaged, its checksum made to fit; doubled, lost or of another kind."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : end - 4]))
        at = end
    if not chunks:
        return bytewise(rng, data, others)
    which = rng.randrange(len(chunks))
    kind, content = chunks[which]
    choice = rng.randrange(6)
    if choice == 0:
        chunks.insert(rng.randrange(len(chunks)), chunks[which])
    elif choice == 1:
        del chunks[which]
    elif choice == 2:
        kinds = (b"tRNS", b"PLTE", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"eXIf", b"gAMA")
        chunks.insert(1, (rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 6, 26)))))
    else:
        chunks[which] = (kind, bytewise(rng, content, others))
    return data[:8] + b"".join(
        struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held))
        for kind, held in chunks
    )
