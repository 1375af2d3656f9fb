"""Badges: a number with its interval, protocol and count as a small picture."""

from __future__ import annotations

from html import escape

from genbench.records.kinds import Record, SpeedRecord
from genbench.site.lines import title_of
from genbench.site.places import value_of

_LETTER, _PAD, _HIGH = (
    6.6,
    7.0,
    20,
)  # pixels of a letter of 11 pixels, about; reckoned, not measured


def badge_words(record: Record) -> tuple[str, str]:
    """What stands left and right: ("FD", "96.6 ± 2.2 · bundled · 10k")."""
    value = value_of(record)
    if isinstance(record, SpeedRecord):
        device = record.environment.device
        return title_of(record), " · ".join(
            filter(None, (f"{value} {record.unit}".strip(), device))
        )
    return title_of(record), f"{value} · {record.protocol} · {short_count(record.samples)}"


def badge(record: Record) -> str:
    """The badge as SVG text, readable on light and dark ground alike."""
    name, told = badge_words(record)
    left, right = (round(len(text) * _LETTER + 2 * _PAD) for text in (name, told))
    words = escape(f"{name}: {told}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HIGH}" '
        f'role="img" aria-label="{words}"><title>{words}</title>'
        f'<rect width="{left}" height="{_HIGH}" fill="#444444"/>'
        f'<rect x="{left}" width="{right}" height="{_HIGH}" fill="#0b57a4"/>'
        '<g fill="#ffffff" text-anchor="middle" font-size="11" '
        'font-family="Verdana,DejaVu Sans,Geneva,sans-serif">'
        f"{_text(name, left / 2, left)}{_text(told, left + right / 2, right)}</g></svg>\n"
    )


def short_count(count: int) -> str:
    """10k for 10,000, and 1.5k for 1,500; a number that is no such round one as it is."""
    return f"{count / 1000:g}k" if count >= 1000 and count % 100 == 0 else f"{count:,}"


def _text(text: str, middle: float, wide: int) -> str:
    length = round(wide - 2 * _PAD)
    return (
        f'<text x="{middle:g}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(text)}</text>"
    )
