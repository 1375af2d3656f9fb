"""Whether a host answers, found out quickly."""

from __future__ import annotations

import socket
import threading
import urllib.request
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def check_reachable(url: str, seconds: float) -> None:
    """Raise ConnectionError, with the reason, when the host of an address (or the proxy before it)
    does not answer in so many seconds.

    A name look-up alone can hang for much longer and cannot be interrupted, so it runs beside.
    """
    parts = urlsplit(url)
    asked = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(asked):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
    failure = ["no answer in time"]

    def probe() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds - 0.5).close()
            failure.clear()
        except OSError as error:
            failure[:] = [str(error.strerror or error)]

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise ConnectionError(f"{host} cannot be reached ({failure[0]})")
