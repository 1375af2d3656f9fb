"""SVG as trees: labelled for screen readers, equal for equal data, fit to stand in HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from genbench.report.looks import COLOURS

# What plots are drawn in on white paper. In a page each becomes the stylesheet's own colour, which
# follows the reader's scheme; the paper is the page's.
INK, PAPER, GRID, FRONT = "#1b1b1b", "#ffffff", "#dddddd", "#707070"
_VARIABLES = {
    INK: "currentColor",
    PAPER: f"var(--paper, {PAPER})",
    GRID: f"var(--grid, {GRID})",
    FRONT: f"var(--muted, {FRONT})",
    **{colour: f"var(--series-{number}, {colour})" for number, colour in enumerate(COLOURS)},
}
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def finished(drawn: str, title: str, description: str) -> str:
    """A figure as matplotlib writes it, with a title and a description and without metadata.

    Clip paths are named in their order: matplotlib's names are hashes of coordinates, whose last
    bits are the processor's.
    """
    root = ElementTree.fromstring(drawn)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    clips = [found.attrib["id"] for found in root.iter(f"{{{_SVG}}}clipPath")]
    numbered = {name: f"clip_{number}" for number, name in enumerate(clips, start=1)}
    _rename(root, lambda name: numbered.get(name, name))
    root.set("role", "img")
    root.set("aria-labelledby", "title desc")
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = Element(f"{{{_SVG}}}{tag}", id=tag)
        label.text, label.tail = text, "\n"
        root.insert(place, label)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    text = ElementTree.tostring(root, encoding="unicode")
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def title_of(svg: str) -> str:
    """The title of a figure that `finished` gave."""
    return ElementTree.fromstring(svg).findtext(f"{{{_SVG}}}title") or ""


def inline_svg(svg: str, prefix: str) -> str:
    """An SVG file's text ready to stand in an HTML page: its ids made the page's own, its colours
    those of the page's scheme."""
    root = ElementTree.fromstring(svg)
    _rename(root, lambda name: f"{prefix}-{name}")
    labels = root.attrib.get("aria-labelledby", "").split()
    root.set("aria-labelledby", " ".join(f"{prefix}-{name}" for name in labels))
    root.set("class", "plot")
    for element in root.iter():  # HTML knows SVG by its tags, without namespaces
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        for name in [name for name in element.attrib if name.startswith("{")]:
            element.set(name.partition("}")[2], element.attrib.pop(name))
        if "style" in element.attrib:
            element.set("style", re.sub("#[0-9a-f]{6}", _in_scheme, element.attrib["style"]))
    return f"{ElementTree.tostring(root, encoding='unicode')}\n"


def _in_scheme(colour: re.Match[str]) -> str:
    return _VARIABLES.get(colour[0], colour[0])


def _rename(root: Element, new: Callable[[str], str]) -> None:
    """Give every id its new name, where it stands and wherever it is named."""
    names = {element.attrib["id"]: "" for element in root.iter() if "id" in element.attrib}
    names = {name: new(name) for name in names}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, names[value])
            elif value.startswith("#") and value[1:] in names:  # href of a <use>
                element.set(key, f"#{names[value[1:]]}")
            elif "url(#" in value:  # possibly among other properties of a style
                before, _, rest = value.partition("url(#")
                name, _, after = rest.partition(")")
                element.set(key, f"{before}url(#{names.get(name, name)}){after}")
