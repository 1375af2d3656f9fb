"""Adapter packages of strangers, written to a folder as pip would install them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from genbench.cli.app import main

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = [part.split("```")[0] for part in README.split("```python\n")[1:]]
GOOD = next(block for block in BLOCKS if "class Plain" in block)  # the example of "Add a model"


def install(folder: Path, distribution: str, name: str, source: str, target: str = "") -> None:
    """Put a one-module package that announces one adapter into `folder`."""
    module = distribution.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    entry = target or f"{module}:Plain"
    (info / "entry_points.txt").write_text(f"[genbench.adapters]\n{name} = {entry}\n")


def genbench(
    *words: str | Path, path: Path | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does.

    In this process, since starting one takes seconds; in a new one when packages of `path` are to
    be installed beside the others.
    """
    arguments = [str(word) for word in words]
    environ = {"COLUMNS": "200"} | environment
    if path is not None:
        command = [sys.executable, "-m", "genbench", *arguments]
        packages = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH", "")]))
        environ = os.environ | environ | {"PYTHONPATH": packages}
        return subprocess.run(
            command, capture_output=True, text=True, env=environ, cwd=cwd, timeout=300
        )
    out, err, code = io.StringIO(), io.StringIO(), 0
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, environ))
        stack.enter_context(mock.patch.object(sys, "argv", ["genbench", *arguments]))
        stack.enter_context(chdir(cwd or Path.cwd()))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def error_line(run: subprocess.CompletedProcess[str]) -> str:
    """The one error line of a failed run; fails when there is a traceback or no error."""
    assert run.returncode != 0, run.stdout
    assert "Traceback" not in run.stderr, run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, run.stderr
    return lines[0]
