"""What a user sees of a long job, on a terminal and in a log file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from genbench.runtime import progress_bars
from genbench.runtime.progress_bars import ProgressBars


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress_bars, "stderr", console)
    return shown


def last_drawn(screen: io.StringIO) -> str:
    """What the terminal shows in the end: every redraw begins by clearing the lines of the one
    before."""
    return screen.getvalue().split("\x1b[2K")[-1]


def test_a_finished_bar_is_not_drawn_again_by_the_next(screen: io.StringIO) -> None:
    bars = ProgressBars(leads=True)
    with bars.task("drawing", 2) as advance:
        advance(2)
    assert "drawing" in last_drawn(screen)
    screen.truncate(0)
    with bars.task("figures", 1) as advance:
        advance(1)
    assert "figures" in screen.getvalue()
    assert "drawing" not in screen.getvalue()


def test_a_bar_says_what_is_being_done(screen: io.StringIO) -> None:
    with ProgressBars(leads=True).task("figures", 2) as advance:
        advance(0, "fd at 500 samples")
        advance(1, "recall at 500 samples")
    assert "figures (recall at 500 samples)" in last_drawn(screen)


def test_lines_in_a_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress_bars, "stderr", Console(file=shown, width=100))
    monkeypatch.setattr(progress_bars, "_LINE_SECONDS", 0.0)
    with ProgressBars(leads=True).task("figures", 4) as advance:
        advance(0, "fd at 500 samples")
        advance(1, "recall at 500 samples")
    first, second = shown.getvalue().splitlines()
    assert first == "figures (fd at 500 samples): 0 of 4"
    assert second.startswith("figures (recall at 500 samples): 1 of 4, ")
    assert "ETA" in second


def test_a_chain_of_short_tasks_speaks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clock for all: half a minute without a line is none, however many tasks it held."""
    shown, now = io.StringIO(), [100.0]
    monkeypatch.setattr(progress_bars, "stderr", Console(file=shown, width=100))
    monkeypatch.setattr("genbench.runtime.progress_bars.time.monotonic", lambda: now[0])
    bars = ProgressBars(leads=True)
    for label in ("one", "two", "three", "four"):
        with bars.task(label, 1) as advance:
            now[0] += 12
            advance(1)
    assert [line.split(":")[0] for line in shown.getvalue().splitlines()] == ["three"]
