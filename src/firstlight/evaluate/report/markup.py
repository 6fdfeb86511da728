"""HTML from Python values, safe by default: every string is escaped unless it was made here."""

from __future__ import annotations

from html import escape


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


VOID = frozenset({"meta", "img", "input", "br"})


def element(tag: str, *children: str | None, **attributes: str | float | bool | None) -> Html:
    """``<tag attributes>children</tag>``; children that are not :class:`Html` are escaped, None is skipped.

    Attribute names: a trailing underscore is dropped (``class_``), other underscores become hyphens. True
    gives a bare attribute; None and False leave it out.
    """
    written = "".join(
        f" {_attribute_name(name)}" + ("" if value is True else f'="{escape(_plain(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: str | None) -> Html:
    """The children one after another, escaped where needed."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child))


def _attribute_name(name: str) -> str:
    # SVG has one attribute that is written in camel case; HTML has none.
    return "viewBox" if name == "view_box" else name.removesuffix("_").replace("_", "-")


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
