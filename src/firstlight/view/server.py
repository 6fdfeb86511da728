"""viser's server, kept to this machine and quiet."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import rich
import viser

from firstlight.errors import InputError

HOST = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

# Without any handler, Python prints what websockets logs about every malformed handshake on stderr.
logging.getLogger("websockets").addHandler(logging.NullHandler())


def start_server(port: int, title: str) -> Any:
    """A viser server on 127.0.0.1 at ``port``, or at a free port where that is taken.

    InputError when ``port`` is none.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"Port {port}: expected a number from 0 to 65535 (0 takes any free one).")
    with _quiet():
        server = viser.ViserServer(host=HOST, port=port if _is_free(port) else 0, label=title, verbose=False)
    # viser's page can ask for a public address, which would send the scene through somebody's server.
    server.request_share_url = _refuse_to_share
    _refuse_strangers(server)
    return server


def stop_server(server: Any) -> None:
    with _quiet():
        server.stop()


def is_welcome(host: str | None, origin: str | None) -> bool:
    """Whether a request with these headers comes from this server's own page (or from no page at all).

    A page of another site can reach a loopback address, under that address or under a name that it makes
    point there (DNS rebinding); its browser tells by ``Origin`` and ``Host``.
    """
    try:
        if host is None or urlsplit(f"//{host}").hostname not in _LOOPBACK_NAMES:
            return False
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:  # no address at all
        return False


def _refuse_strangers(server: Any) -> None:
    """Close what is not welcome before anything is sent to it.

    viser gives no hook before the handshake, so strangers do get through that, and its client's (public)
    page; the scene and the controls they do not get.
    """
    websockets = server._websock_server

    async def check(client: Any) -> None:
        connection = websockets._live_connections[client.client_id]
        headers = connection.request.headers
        if not is_welcome(headers.get("Host"), headers.get("Origin")):
            await connection.close(1008, "foreign origin")

    websockets.on_client_connect(check)
    websockets.disconnect_all_clients()  # whoever came before the check was in place has to come again


def _refuse_to_share(verbose: bool = True) -> None:
    return None


def _is_free(port: int) -> bool:
    """viser waits for ever when it can bind none of the ports it tries, so it is only given a good one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio binds
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """viser announces its start and its end through rich's global console, whatever ``verbose`` says."""
    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before
