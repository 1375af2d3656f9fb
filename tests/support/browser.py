"""A headless Chromium, spoken to through pipes: nothing to install beside the browser itself."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = "4.14.1"  # of axe-core, Deque's accessibility rules
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-background-networking", "--disable-extensions"),
)
_SECONDS = 60.0  # that an answer may take


class Browser:
    """One page of a running browser."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._held, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []  # of the console and of scripts that failed
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            self._hear(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _hear(self, answer: dict[str, Any]) -> None:
        told = answer.get("params", {})
        if answer.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif answer.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(told["entry"]["text"])

    def press(self, key: str) -> None:
        """Press a key and let it go, as on a keyboard: "Enter", "Tab"."""
        code = {"Enter": 13, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for type in ("keyDown", "keyUp"):
            typed = text if type == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=type, key=key, code=key,
                      windowsVirtualKeyCode=code, **typed)  # fmt: skip

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._back], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._held += os.read(self._back, 1 << 20)
        line, _, self._held = self._held.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def show(self, page: Path, width: int, scheme: str = "light") -> None:
        """Load a file at a width of the screen (pixels), in the light or dark scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="", features=features)
        self.call("Page.navigate", url=page.as_uri())
        while self.run("document.readyState + location.protocol") != "completefile:":
            time.sleep(0.02)

    def run(self, code: str) -> Any:
        """The value of an expression, of what it promises where it is a promise."""
        told = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def picture(self, out: Path) -> None:
        """The whole page as a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        out.write_bytes(base64.b64decode(told["data"]))

    def pdf(self, out: Path) -> None:
        """The page on paper, of the size that it asks for."""
        told = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        out.write_bytes(base64.b64decode(told["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with its own fresh profile in `folder`, ended afterwards."""
    assert BROWSER is not None
    pairs = [os.pipe(), os.pipe()]
    (read, to), (back, write) = [
        tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pair) for pair in pairs
    ]
    for pair in pairs:
        for end in pair:
            os.close(end)

    # Where 3 and 4 are free, the pipe by which Popen tells of errors would lie there.
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]

    def connect() -> None:  # the browser reads from 3 and writes to 4
        os.dup2(read, 3)
        os.dup2(write, 4)

    process = subprocess.Popen(
        [BROWSER, *_FLAGS, f"--user-data-dir={folder / 'profile'}"],
        # Not pass_fds: what lies at 3 and 4 may be matplotlib's, which closes it in the child.
        preexec_fn=connect, close_fds=False, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (read, write, *kept):
        os.close(end)
    try:
        found = Browser(to, back)
        yield found
        found._session = ""
        found.call("Browser.close")
    finally:
        os.close(to)
        os.close(back)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def axe_source() -> str:
    """The source of axe-core, fetched once with npm into the user's cache; a skip where that
    fails."""
    named = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(named) if named else Path.home() / ".cache") / "genbench-tests" / f"axe-{AXE}"
    file = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip(f"no {file} and no npm to fetch axe-core with")
        words = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        try:
            subprocess.run([npm, *words, f"axe-core@{AXE}"], check=True, capture_output=True,
                           timeout=60)  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"npm could not fetch axe-core: {error}")
    return file.read_text(encoding="utf-8")


def violations(page: Browser, axe: str) -> list[str]:
    """What axe-core finds wrong with the page that is shown: each rule with its first element."""
    page.run(f"{axe};0")
    told = json.loads(
        page.run(
            "axe.run(document, {preload: false}).then(found => JSON.stringify("
            "[found.passes.length, "
            "found.violations.map(one => one.id + ': ' + one.nodes[0].html)]))"
        )
    )
    assert told[0] > 10, "the rules were not applied"
    found: list[str] = told[1]
    return found
