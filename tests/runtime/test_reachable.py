"""Whether a host answers: the proxy is what is tried, and nobody is waited for."""

from __future__ import annotations

import socket

import pytest

from genbench.runtime.reachable import check_reachable


def test_the_proxy_is_what_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for proxy in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
            monkeypatch.setenv("http_proxy", proxy)
            check_reachable("http://example.invalid/", 4)
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 cannot be reached"):
        check_reachable("http://example.invalid/", 4)
