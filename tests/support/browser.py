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

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
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
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

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

    def connect() -> None:  # the browser reads from 3 and writes to 4
        os.dup2(read, 3)
        os.dup2(write, 4)

    process = subprocess.Popen(
        [BROWSER, *_FLAGS, f"--user-data-dir={folder / 'profile'}"],
        preexec_fn=connect, pass_fds=(3, 4), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(read)
    os.close(write)
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
