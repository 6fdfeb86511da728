from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import viser
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from firstlight.errors import InputError
from firstlight.view.server import is_welcome, start_server, stop_server


@pytest.fixture
def server() -> Iterator[Any]:
    running = start_server(0, "test")
    yield running
    stop_server(running)


def knock(address: str, port: int, send: bytes = b"") -> bytes:
    """Connect, send, and return what comes back until the other side closes or 2 s pass."""
    with socket.create_connection((address, port), timeout=2) as line:
        line.sendall(send)
        line.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := line.recv(65536):
                received += part
        except TimeoutError:
            pass
        return received


def is_served(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    line.request("GET", "/")
    answer = line.getresponse()
    page = answer.read()
    line.close()
    return answer.status == 200 and b"<html" in page


def open_page(port: int, host: str = "127.0.0.1", origin: str | None = None) -> Any:
    """The connection that viser's page makes, as if ``host`` had led to this machine."""
    return connect(
        f"ws://{host}:{port}",
        sock=socket.create_connection(("127.0.0.1", port)),
        origin=origin,  # type: ignore[arg-type]
        subprotocols=[f"viser-v{viser.__version__}"],  # type: ignore[list-item]
        compression=None,
    )


def test_serves_on_loopback_alone(server: Any) -> None:
    port = server.get_port()
    assert is_served(port)
    # All of 127/8 leads to this machine, so a server on every address would answer here.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=2)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((str(address), port), timeout=2)


def test_takes_another_port_where_one_is_in_use(server: Any) -> None:
    second = start_server(server.get_port(), "second")
    try:
        assert second.get_port() != server.get_port()
        assert is_served(server.get_port()) and is_served(second.get_port())
    finally:
        stop_server(second)


def test_stopping_frees_the_port() -> None:
    server = start_server(0, "test")
    port = server.get_port()
    stop_server(server)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    again = start_server(port, "test")
    assert again.get_port() == port
    stop_server(again)


@pytest.mark.parametrize("port", [-1, 65536])
def test_refuses_what_is_no_port(port: int) -> None:
    with pytest.raises(InputError, match="65535"):
        start_server(port, "test")


def test_says_nothing() -> None:
    """In a process of its own: pytest handles what is logged, so that nothing reaches the screen here."""
    program = """
import socket
from firstlight.view import Viewer

viewer = Viewer(port=0)
address = viewer.url.removeprefix("http://").split(":")
with socket.create_connection((address[0], int(address[1]))) as line:
    line.sendall(b"\\x00 garbage \\r\\n\\r\\n")
    line.recv(100)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff" * 4096,
        b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/viewer.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: \x80\x81\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
def test_survives_garbage(server: Any, garbage: bytes) -> None:
    try:
        answer = knock("127.0.0.1", server.get_port(), garbage)
    except OSError:
        answer = b""  # hanging up in the middle is an answer too
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert is_served(server.get_port())


@pytest.mark.parametrize("message", [b"\xc1 no msgpack", b"\x80", "text", b"\x81\xa4type\xa4Nope"])
def test_survives_garbage_from_a_page(server: Any, message: bytes | str) -> None:
    port = server.get_port()
    with open_page(port) as page:
        page.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                page.recv(timeout=5)
    with open_page(port) as page:
        assert page.recv(timeout=5)


@pytest.mark.parametrize(
    ("host", "origin", "welcome"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("localhost:8080", "http://localhost:8080", True),
        ("localhost:9000", "http://localhost:9000", True),  # through an ssh tunnel
        ("[::1]:8080", "http://[::1]:8080", True),
        ("127.0.0.1:8080", None, True),  # not a browser
        ("127.0.0.1:8080", "http://evil.example", False),
        ("127.0.0.1:8080", "http://localhost:3000", False),  # another program's page
        ("127.0.0.1:8080", "null", False),  # a page from a file or a sandbox
        ("evil.example:8080", "http://evil.example:8080", False),  # DNS rebinding
        ("127.0.0.1.evil.example:8080", "http://127.0.0.1.evil.example:8080", False),
        (None, None, False),
        ("", None, False),
        ("[::1", None, False),
    ],
)
def test_who_is_welcome(host: str | None, origin: str | None, welcome: bool) -> None:
    assert is_welcome(host, origin) is welcome


def test_own_page_is_let_in(server: Any) -> None:
    port = server.get_port()
    with open_page(port, origin=f"http://127.0.0.1:{port}") as page:
        assert page.recv(timeout=5)


@pytest.mark.parametrize(
    ("host", "origin"), [("127.0.0.1", "http://evil.example"), ("evil.example", "http://evil.example")]
)
def test_foreign_pages_get_nothing(server: Any, host: str, origin: str) -> None:
    with open_page(server.get_port(), host, origin) as page:
        with pytest.raises(ConnectionClosed) as closed:
            page.recv(timeout=5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_scene_cannot_be_shared_with_the_world(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr("viser._viser.ViserTunnel", lambda *args: asked.set())
    with open_page(server.get_port()) as page:
        page.recv(timeout=5)
        page.send(b"\x81\xa4type\xafShareUrlRequest")  # what the page's Share button would send
        assert not asked.wait(1)
        page.send(b"\x81\xa4type\xb2ShareUrlDisconnect")
        assert not asked.wait(0.2)
