from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.errors import InputError
from firstlight.view import Viewer
from firstlight.view.server import Answer, Request, Server, is_welcome, say
from tests.view.conftest import Example

VIEW = "3,-2,2,3,-2,7,0,-1,0,60"


@pytest.fixture
def server() -> Iterator[Server]:
    def answer(request: Request) -> Answer:
        return say("home") if request.path == "/" else say("nothing", 404)

    running = Server(0, answer)
    yield running
    running.close()


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


def ask(
    port: int, path: str = "/", method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer; ``Sec_Fetch_Site="none"`` sends that header."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
        line.request(method, path, body=body, headers=sent)
        answer = line.getresponse()
        content = answer.read()
    return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}


def is_served(port: int) -> bool:
    return ask(port)[0] == 200


def test_serves_on_loopback_alone(server: Server) -> None:
    assert is_served(server.port)
    # All of 127/8 leads to this machine, so a server on every address would answer here.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), timeout=2)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((str(address), server.port), timeout=2)


def test_takes_another_port_where_one_is_in_use(server: Server) -> None:
    second = Server(server.port, lambda request: say("second"))
    assert second.port != server.port
    assert ask(server.port)[1] == b"home" and ask(second.port)[1] == b"second"
    second.close()


def test_stopping_frees_the_port() -> None:
    server = Server(0, lambda request: say("first"))
    port = server.port
    server.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    again = Server(port, lambda request: say("again"))
    assert again.port == port
    again.close()


@pytest.mark.parametrize("port", [-1, 65536])
def test_refuses_what_is_no_port(port: int) -> None:
    with pytest.raises(InputError, match="65535"):
        Server(port, lambda request: say(""))


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
        b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: \xc2\xb2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_survives_garbage(server: Server, garbage: bytes) -> None:
    try:
        answer = knock("127.0.0.1", server.port, garbage)
    except OSError:
        answer = b""  # hanging up in the middle is an answer too
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert is_served(server.port)


def test_an_address_that_is_none_is_said_to_be(server: Server) -> None:
    answer = knock("127.0.0.1", server.port, b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 400 " in answer.split(b"\r\n")[0]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_survives_any_bytes(server: Server, noise: bytes) -> None:
    with suppress(OSError):
        knock("127.0.0.1", server.port, noise + b"\r\n\r\n")
    assert is_served(server.port)


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


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},  # <script src=…> in another page
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},  # on another port of this machine
    ],
)
def test_foreign_pages_get_nothing(server: Server, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        status, body, _ = ask(server.port, "/", method, **headers)
        assert status == 403 and b"home" not in body


def test_a_link_from_elsewhere_may_lead_here(server: Server) -> None:
    navigation = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    status, _, headers = ask(server.port, "/", **navigation)
    assert status == 200
    assert headers["x-frame-options"] == "DENY"  # but not into a frame
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert ask(server.port, "/", "POST", **navigation)[0] == 403


@pytest.fixture
def viewer(example: Example) -> Iterator[Viewer]:
    with Viewer(example.gaussians, example.capture, port=0) as running:
        yield running


def port_of(viewer: Viewer) -> int:
    return int(viewer.url.rpartition(":")[2])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/..", "/photo/../../etc/passwd", "/photo/4", "/photo/-1", "/photo/1e9",
        "/photo/0.jpg", "/scene/1", "/scene/0/1?version=0", "/scene/0/0?version=7",
        "/scene/" + "9" * 400, "/scene/²",
        "/state?after=x", "/state?after=" + "9" * 30, "/?" + "a=b&" * 99, "/web/app.js",
    ],
)  # fmt: skip
def test_nothing_else_is_served(viewer: Viewer, path: str) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port_of(viewer), timeout=60)
    line._encode_request = lambda request: request.encode("utf-8")  # type: ignore[attr-defined]
    line.request("GET", path)
    assert line.getresponse().status in (400, 404, 409)
    line.close()
    assert is_served(port_of(viewer))


def test_what_is_served_is_what_there_is(viewer: Viewer) -> None:
    port = port_of(viewer)
    state = json.loads(ask(port, "/state")[1])
    assert [camera["name"] for camera in state["cameras"]] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    header = json.loads(ask(port, "/scene/0")[1])
    assert header["count"] == 360
    assert ask(port, f"/scene/0/0?version={header['version']}")[0] == 200
    assert len(ask(port, "/points")[1]) == 360 * 15
    status, photo, headers = ask(port, "/photo/3")
    pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert status == 200 and headers["content-type"] == "image/jpeg"
    assert pixels is not None and pixels.shape == (360, 480, 3) and pixels[0, 0, 0] < 30 < pixels[0, 0, 2]


def wish(**changes: Any) -> str:
    plain: dict[str, Any] = {"scene": 0, "view": VIEW, "width": 64, "height": 48, "background": [0, 0, 1]}
    return json.dumps(plain | changes)


def test_pictures_are_drawn_as_wished(viewer: Viewer) -> None:
    def draw(**changes: Any) -> Any:
        status, body, headers = ask(port_of(viewer), "/picture", "POST", wish(**changes))
        assert status == 200 and headers["content-type"] == "image/png"
        decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded[..., ::-1]

    whole = draw()
    assert whole.shape == (48, 64, 3) and (whole[0, 0] == (0, 0, 255)).all() and whole[..., 0].max() > 150
    assert draw(opacity=0.9)[..., 0].max() == 0  # all are at 0.8
    assert draw(largest=0.01)[..., 0].max() == 0  # all are 0.08 large
    assert draw(box=[[3, -9, 0], [9, 9, 9]])[..., 0].max() == 0  # red is on the left
    assert draw(growth=0.2)[..., 0].mean() < 0.75 * whole[..., 0].mean()


@pytest.mark.parametrize(
    "body",
    [
        "", "7", "[]", "{", "[" * 60_000, "\x00", wish(scene=1), wish(scene=-1), wish(scene="0"),
        wish(width=0), wish(width=100_000), wish(height=True), wish(height=1.5), wish(background=[0, 0]),
        wish(background="red"), wish(background={"a": 1}), wish(opacity="x"), wish(growth=0),
        wish(box=7), wish(box=[[0], [1]]), wish(box=[[0, 0, None], [1, 1, 1]]), wish(smallest=[]),
        wish(growth=1e9), wish(growth=10**400), '{"opacity": NaN}', wish(view="here"), '{"scene": 1e999}',
    ],
)  # fmt: skip
def test_impossible_pictures_are_refused(viewer: Viewer, body: str) -> None:
    assert ask(port_of(viewer), "/picture", "POST", body)[0] == 400
    assert is_served(port_of(viewer))


def test_too_long_a_wish(viewer: Viewer) -> None:
    assert ask(port_of(viewer), "/picture", "POST", " " * 70_000)[0] == 413


def test_page_does_not_wait_for_a_silent_caller(viewer: Viewer) -> None:
    silent = [socket.create_connection(("127.0.0.1", port_of(viewer))) for _ in range(20)]
    assert is_served(port_of(viewer))
    for line in silent:
        line.close()


def test_names_cannot_end_the_page(example: Example) -> None:
    title = "</script><img src=x onerror=alert(1)>"
    with Viewer(example.gaussians.select(torch.arange(3)), title=title, port=0) as viewer:
        page, state = (ask(port_of(viewer), path)[1].decode() for path in ("/", "/state"))
    assert "<img src=x" not in page and "<" not in state
    assert json.loads(state)["title"] == title
