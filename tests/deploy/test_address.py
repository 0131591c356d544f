"""Addresses: read from HOST:PORT, bound, and refused in words."""

from __future__ import annotations

import socket

import pytest

from thalweg.deploy.address import Address, AddressError, listen, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        (":9464", "127.0.0.1", 9464),
        ("9464", "127.0.0.1", 9464),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:65535", "::1", 65535),
        ("metrics.example.org:1", "metrics.example.org", 1),
    ],
)
def test_a_host_and_a_port_are_read(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", ":", "host", "host:", "h:65536", "h:-1", "h: 1", "::1:80", "a b:1", "h:1x", "h:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match=r"HOST:PORT is asked for, such as 127\.0\.0\.1:9464"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_what_only_this_machine_can_reach_is_known(host: str, loopback: bool) -> None:
    assert Address(host, 1).loopback is loopback


def test_port_0_is_any_free_one() -> None:
    listening, address = listen(Address("127.0.0.1", 0))
    with listening:
        assert address.port == listening.getsockname()[1] != 0


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            listen(Address("127.0.0.1", port))
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another port, or port 0 for a free one"
    )


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressError, match=r"cannot listen on 203\.0\.113\.1:0: Cannot assign"):
        listen(Address("203.0.113.1", 0))
