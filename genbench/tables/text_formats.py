"""Tables as Markdown and LaTeX, for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from genbench.tables.cells import Table
from genbench.tables.layout import Entry, Grid, Heading, Line, lay_out

WIDE = 7  # printed columns that LaTeX sets in ordinary size
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "≟": r"$\stackrel{?}{=}$",
    **{chr(ord("①") + number): rf"\textcircled{{{number + 1}}}" for number in range(20)},
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "…": r"\ldots{}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"\S{}",
    "¶": r"\P{}",
    "Ś": r"\'S",
    "é": r"\'e",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "“": "``",
    "”": "''",
    "·": r"$\cdot$",
    "\N{NO-BREAK SPACE}": "~",
}


def table_to_markdown(table: Table) -> str:
    """A pipe table with its footnotes and the commands that fill it; best values in bold."""
    grid = lay_out(table)
    headers = ["", *(f"{top} {part}".strip() for top, part in _flat(grid.headings))]
    lines = [f"**{_pipe(grid.title)}**", "", _row(headers)]
    lines.append("|---|" + "---:|" * (len(headers) - 1))
    for group, members in groupby(grid.lines, key=lambda line: line.group):
        if group:
            lines.append(_row([f"**{_pipe(group)}**", *[""] * (len(headers) - 1)]))
        for line in members:
            lines.append(_row([_pipe(line.label), *map(_markdown_entry, line.entries)]))
    lines += ["", *(f"<sup>{mark}</sup> {_pipe(text)}  " for mark, text in grid.footnotes)]
    lines += [f"{_pipe(note)}  " for note in grid.notes]
    if grid.commands:
        lines += ["", "Missing figures come from:", "", "```", *grid.commands, "```"]
    return "\n".join(lines).rstrip() + "\n"


def _flat(headings: Sequence[Heading]) -> Iterator[tuple[str, str]]:
    for heading in headings:
        for part in heading.parts:
            yield heading.title, part


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _markdown_entry(entry: Entry) -> str:
    text = f"**{_pipe(entry.text)}**" if entry.best else _pipe(entry.text)
    return text + (f" <sup>{' '.join(entry.marks)}</sup>" if entry.marks else "")


def table_to_latex(table: Table) -> str:
    """A booktabs table environment; needs \\usepackage{booktabs} and nothing else."""
    grid = lay_out(table)
    width = 1 + sum(len(heading.parts) for heading in grid.headings)
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering" + ("\\footnotesize\\setlength{\\tabcolsep}{3pt}" if width > WIDE else ""),
        f"\\caption{{{_latex(grid.title)}}}",
        f"\\label{{tab:{table.name}}}",
        f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        "\\toprule",
        *_latex_head(grid.headings),
        "\\midrule",
    ]
    for number, (group, members) in enumerate(groupby(grid.lines, key=lambda line: line.group)):
        if group:
            lines += ["\\midrule"] if number else []
            lines.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{_latex(group)}}}}} \\\\")
        lines += [_latex_line(line) for line in members]
    lines += ["\\bottomrule", "\\end{tabular}", *_latex_notes(grid), "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _latex_head(headings: Sequence[Heading]) -> Iterator[str]:
    if all(heading.parts == ("",) for heading in headings):
        yield " & ".join(["", *(_latex(heading.title) for heading in headings)]) + " \\\\"
        return
    tops, rules, column = [], [], 2
    for heading in headings:
        size = len(heading.parts)
        tops.append(f"\\multicolumn{{{size}}}{{c}}{{{_latex(heading.title)}}}")
        rules.append(f"\\cmidrule(lr){{{column}-{column + size - 1}}}")
        column += size
    yield " & ".join(["", *tops]) + " \\\\"
    yield " ".join(rules)
    yield " & ".join(["", *(_latex(part) for _, part in _flat(headings))]) + " \\\\"


def _latex_line(line: Line) -> str:
    return " & ".join([_latex(line.label), *map(_latex_entry, line.entries)]) + " \\\\"


def _latex_entry(entry: Entry) -> str:
    text = f"\\textbf{{{_latex(entry.text)}}}" if entry.best else _latex(entry.text)
    marks = ",".join(map(_latex, entry.marks))
    return text + (f"\\textsuperscript{{{marks}}}" if marks else "")


def _latex_notes(grid: Grid) -> Iterator[str]:
    if grid.footnotes or grid.notes:
        yield "\n\\smallskip\n\\begin{minipage}{0.95\\linewidth}\\footnotesize\\raggedright"
        for mark, text in grid.footnotes:
            yield f"\\textsuperscript{{{_latex(mark)}}} {_latex(text)}\\par"
        for note in grid.notes:
            yield f"{_latex(note)}\\par"
        yield "\\end{minipage}"
    for command in grid.commands:
        yield f"% missing: {command}"
