"""The guard of tests/conftest.py: other hosts are refused, this machine is not."""

import socket

import pytest


def test_other_hosts_are_refused():
    with (
        socket.socket() as client,
        pytest.raises(RuntimeError, match=r"wanted to reach 192\.0\.2\.1: tests run offline"),
    ):
        client.connect(("192.0.2.1", 80))


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()
