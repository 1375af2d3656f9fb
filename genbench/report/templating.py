"""The templates of pages: where they lie, and what all of them may use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genbench.errors import GenbenchError
from genbench.report.svg import inline_svg
from genbench.tables.html_page import stylesheet

if TYPE_CHECKING:
    from jinja2 import Environment

# Of markers, in a box of 10 by 10; the same shapes as matplotlib's of these letters.
SHAPES = {
    "o": "M5 .5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z",
    "s": "M1 1H9V9H1z",
    "D": "M5 0L10 5L5 10L0 5z",
    "^": "M5 .5L9.5 9.5H.5z",
    "v": "M5 9.5L9.5 .5H.5z",
    "P": "M3.3 .5H6.7V3.3H9.5V6.7H6.7V9.5H3.3V6.7H.5V3.3H3.3z",
    "*": "M5 0L6.2 3.6H10L6.9 5.9L8.1 9.5L5 7.3L1.9 9.5L3.1 5.9L0 3.6H3.8z",
}


def environment(*folders: Path) -> Environment:
    """Jinja's environment: every text escaped, an unknown name an error.

    folders: of templates beside the report's own, looked into first. Raises GenbenchError when
    jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise GenbenchError("pages need jinja2: pip install 'genbench[report]'") from error
    found = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "css": Markup(stylesheet()),
        "shapes": SHAPES,
        "inline": lambda svg, prefix: Markup(inline_svg(svg, prefix)),
    }
    found.filters["markup"] = Markup
    return found
