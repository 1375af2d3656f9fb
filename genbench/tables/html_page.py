"""The shell of an HTML page: readable on a phone, in print, by keyboard and by ear; no network."""

from __future__ import annotations

from html import escape
from pathlib import Path


def stylesheet() -> str:
    """The one stylesheet of all pages: light and dark, screen and print."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def page(title: str, body: str) -> str:
    """A whole document of one table."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{stylesheet()}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1></header>\n"
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )
