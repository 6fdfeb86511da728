"""The page: our own WebGL2 renderer and its controls, as one piece of HTML that asks nobody for anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from firstlight.policy import allowing

# In this order: each uses only those before it when it is read.
SCRIPTS = (
    "camera", "scene", "sorter", "shaders", "renderer", "controls", "pick", "overlay", "elements", "source",
    "pane", "app", "panel_sections", "main",
)  # fmt: skip


@cache
def script() -> str:
    return '"use strict";\n' + "\n".join(_resource(f"{name}.js") for name in SCRIPTS)


@cache
def style() -> str:
    return _resource("style.css")


def policy(served: bool) -> str:
    """What the page may do: run its own script, and talk at most to the server that it came from."""
    pictures, server = ("'self' data: blob:", "'self'") if served else ("data: blob:", "'none'")
    return (
        f"default-src 'none'; script-src {allowing(script())}; style-src {allowing(style())}; "
        f"worker-src blob:; img-src {pictures}; connect-src {server}; base-uri 'none'; form-action 'none'"
    )


def document(title: str, embedded: Iterator[str] | None = None) -> Iterator[str]:
    """The page in pieces. ``embedded``: elements with the scene; without, its server is asked for it."""
    served = embedded is None
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(served))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{style()}</style></head>\n'
        '<body><main></main><aside></aside><div id="notice" role="status" hidden></div>\n'
        "<noscript>This page draws the scene with JavaScript and WebGL2.</noscript>\n"
    )
    if embedded is None:
        yield f"<script>{script()}</script>\n"
    else:
        yield next(embedded)  # the state: the script begins before the chunks have come in
        yield f"<script>{script()}</script>\n"
        yield from embedded
    yield "</body></html>\n"


def data_element(identifier: str, text: str) -> str:
    """Data that the browser does not look at, for ``document.getElementById``."""
    return f'<script type="text/plain" id="{escape(identifier)}">{text}</script>\n'


def as_json(data: Any) -> str:
    """JSON that can stand in an element: it cannot end it, nor begin a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _resource(name: str) -> str:
    return files(__package__ or "").joinpath("web", name).read_text(encoding="utf-8")
