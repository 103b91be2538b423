"""Ports on this machine: free ones, taken ones, and what to say about them."""

from __future__ import annotations

import socket
from typing import Final

from backcast.domain.errors import InputError

HOST: Final = "127.0.0.1"
_LAST_PORT: Final = 65535


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As servers do: a connection that was closed a moment ago does not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    # A server on all addresses may let us bind to one of them and still get our visitors.
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((HOST, port)) != 0


def free_ports(count: int) -> list[int]:
    """Return ports that the system hands out as free, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def choose_port(chosen: int | None, default: int, variable: str, *, taken: frozenset[int] = frozenset()) -> int:
    """Return the port that was chosen, or the first free one from the default on.

    Raises:
        InputError: the chosen port is taken.
    """
    if chosen is None:
        return next(port for port in range(default, _LAST_PORT) if port not in taken and is_free(port))
    if chosen in taken or not is_free(chosen):
        other = next((port for port in range(chosen + 1, _LAST_PORT) if port not in taken and is_free(port)), default)
        raise InputError(f"port {chosen} is taken: choose another, for example {variable}={other} make run")
    return chosen
