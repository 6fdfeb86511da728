"""A small HTTP server that only this machine reaches, and only its own page."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from firstlight.errors import InputError

HOST = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_LONGEST_BODY = 65_536  # bytes
_PATIENCE = 30.0  # seconds with a caller that sends or takes nothing

# Beside the page's own policy: nobody may frame it, read from it, or keep what it got.
_GUARDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Request:
    method: str  # GET or POST
    path: str  # as it was asked for, from '/'
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    body: bytes
    kind: str = "application/octet-stream"
    status: int = 200


def say(text: str, status: int = 200) -> Answer:
    return Answer(text.encode(errors="replace"), "text/plain; charset=utf-8", status)


class Server:
    """Calls ``answer`` for each request, in threads of its own, until ``close``.

    It listens on 127.0.0.1 at ``port``, or at a free port where that is taken. ``answer`` sees no request
    that is malformed, too large, or meant for another host or sent by another site's page; there is no
    folder that it serves from. InputError when ``port`` is none.
    """

    def __init__(self, port: int, answer: Callable[[Request], Answer]) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"Port {port}: expected a number from 0 to 65535 (0 takes any free one).")
        handler = type("_Handler", (_Handler,), {"answer": staticmethod(answer)})
        try:
            self._server = _Threads((HOST, port), handler)
        except OSError:
            self._server = _Threads((HOST, 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()


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


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True  # a caller that never ends its request must not keep the program alive

    def __init__(self, *arguments: Any) -> None:
        self._lines: set[socket.socket] = set()
        self._known = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._known:
            self._lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._known:
            self._lines.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End what callers keep open: their threads would go on answering."""
        with self._known:
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "firstlight", ""
    timeout = _PATIENCE
    answer: Callable[[Request], Answer]

    def do_GET(self) -> None:
        self._respond("GET")

    def do_POST(self) -> None:
        self._respond("POST")

    def _respond(self, method: str) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self.close_connection = True  # what else this caller sent is not read
            self._send(refusal)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query, max_num_fields=8))
            answer = self.answer(Request(method, target.path, query, body))
        except InputError as error:
            answer = say(str(error), 400)
        except (ValueError, OverflowError, RecursionError):
            answer = say("not understood", 400)
        self._send(answer)

    def _refusal(self) -> Answer | None:
        headers = self.headers
        if len(headers.get_all("Host", [])) != 1 or not is_welcome(headers["Host"], headers.get("Origin")):
            return say("This server answers its own page on this computer, and nobody else.", 403)
        # What needs no Origin (a script or picture of another site's page) still says where it comes from.
        visit = headers.get("Sec-Fetch-Mode") == "navigate" and self.command == "GET"
        if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not visit:
            return say("This server answers its own page on this computer, and nobody else.", 403)
        length = headers.get("Content-Length", "0")
        if headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            return say("a body of known length, please", 411)
        if len(length) > 9 or int(length) > _LONGEST_BODY:
            return say("too large", 413)
        return None

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in _GUARDS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Visits are nobody's business."""
