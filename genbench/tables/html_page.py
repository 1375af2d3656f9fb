"""The shell of an HTML page: readable on a phone, in print, by keyboard and by ear; no network."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; }
body { margin: 0 auto; padding: 0 1rem 3rem; }
h1, h2, h3 { line-height: 1.2; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: Canvas; padding: .5rem 1rem; z-index: 1; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; }
nav a { display: inline-block; padding: .35rem 0; }
.wide { overflow-x: auto; }
.wide:focus-visible, a:focus-visible, summary:focus-visible { outline: 3px solid Highlight; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th[scope=row], th[scope=rowgroup], thead th:first-child, td.text, th.text { text-align: left; }
td { white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 8em; }
th[scope=row] { min-width: 9em; }
th[scope=rowgroup] { background: var(--soft); }
.notes { font-size: .85rem; padding-left: 1.2rem; }
.notes .marked { list-style: none; margin-left: -1.2rem; }
pre { overflow-x: auto; background: var(--soft); padding: .6rem; font-size: .8rem; }
figure { margin: 1.5rem 0; }
figure svg, figure img { max-width: 100%; height: auto; background: #fff; }
img.pixels { image-rendering: pixelated; }
summary { cursor: pointer; padding: .35rem 0; }
@media print {
  body { max-width: none; font-size: 9pt; }
  nav, .skip, summary { display: none; }
  figure, tr { break-inside: avoid; }
  .wide { overflow: visible; }
  pre { white-space: pre-wrap; }
  a { color: inherit; text-decoration: none; }
}
"""


def page(title: str, body: str, *, sections: dict[str, str] | None = None) -> str:
    """A whole document; `sections` maps the ids of its parts to the names the navigation shows."""
    links = "".join(
        f'<li><a href="#{escape(name)}">{escape(text)}</a></li>'
        for name, text in (sections or {}).items()
    )
    navigation = f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if links else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f"<header><h1>{escape(title)}</h1>{navigation}</header>\n"
        f'<main id="content" tabindex="-1">\n{body}</main>\n</body>\n</html>\n'
    )
