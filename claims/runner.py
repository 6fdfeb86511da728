"""Run claims and write ``docs/claims.md``: ``firstlight claims [NAME …]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from firstlight.errors import InputError
from firstlight.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "claims.md"
_NOT_CLAIMS = {"__init__", "runner"}
_HEAD = """# What papers claim, measured again

Written by `firstlight claims`, never by hand: each section by the last run of its script in `claims/`.
"""


class Row(NamedTuple):
    """One thing that a paper's method should do."""

    expected: str
    measured: str
    holds: bool


def names() -> list[str]:
    """Of the claims that there are."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in found if name not in _NOT_CLAIMS and not name.startswith("_"))


def run_claims(wanted: Sequence[str] = (), page: Path = PAGE) -> bool:
    """Measure the claims ``wanted`` (all by default), print them and write their sections; whether all hold.

    InputError when there is none of such a name.
    """
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        raise InputError(f"No claim is called {', '.join(unknown)}. There are: {', '.join(names())}.")
    hold = True
    for name in wanted or names():
        module = import_module(f"claims.{name}")
        rows: list[Row] = []
        for row in module.claim():
            print(f"{name}: expected {row.expected}\n  measured {row.measured}: {_verdict(row)}", flush=True)
            rows.append(row)
        hold = hold and all(row.holds for row in rows)
        _write(page, name, module.__doc__ or "", rows)
    return hold


def _write(page: Path, name: str, about: str, rows: Sequence[Row]) -> None:
    """Put the section of ``name`` into ``page``; the others stay."""
    sections = _sections(page.read_text()) if page.is_file() else {}
    table = [f"| {row.expected} | {row.measured} | {_verdict(row)} |" for row in rows]
    lines = [about.strip(), "", "| expected | measured | |", "| --- | --- | --- |", *table, ""]
    sections[name] = "\n".join(lines)
    text = "\n".join([_HEAD, *(f"## {name}\n\n{sections[name]}" for name in sorted(sections))])
    with atomic_write(page) as temporary:
        temporary.write_text(text)


def _sections(text: str) -> dict[str, str]:
    _, *parts = re.split(r"^## (\w+)\n\n", text, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _verdict(row: Row) -> str:
    return "holds" if row.holds else "does not hold"
