"""Every test runs without a network: only addresses of this machine can be reached."""

from __future__ import annotations

import socket

import pytest

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other hosts, unless the test is marked `network`."""
    if request.node.get_closest_marker("network"):
        return
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self, address, original=original):
            if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
                raise RuntimeError(
                    f"a test wanted to reach {address[0]}: tests run offline; mark it `network`"
                )
            return original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)
