"""Run claims, keep what they measured, and write ``docs/claims.md`` from it: ``firstlight claims``.

A claim is a module here whose ``claim()`` gives ``Row`` after row: what is expected, which the script says
before anything is measured, what was measured, and whether that holds. What a claim gave last is kept in
``claims/measured/``; the page is written from there, so claims can be measured one at a time.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from firstlight.errors import InputError
from firstlight.files import atomic_write
from firstlight.pipeline import machine, versions

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "claims.md"
MEASURED = Path(__file__).parent / "measured"
_NOT_CLAIMS = {"__init__", "runner"}
_HEAD = """# What papers claim, measured again

Written by `firstlight claims`, never by hand: each section by the last run of its script in `claims/`. What
is expected, and by how much, was in the script before it ran. An expectation is held against each photo set
on its own, by the mean over seeds: it *holds* where all sets meet it, *holds partly* where some do, and *does
not hold* where none does. Behind a mean stand the least and the greatest of its seeds. The photos are few and
small and the fits short, so that a claim takes some minutes on two cores: what is seen here need not be so at
the papers' sizes.
"""

Verdict = Literal["holds", "holds partly", "does not hold", ""]  # "": nothing was expected


@dataclass(frozen=True)
class Row:
    """One thing that a paper's method should do."""

    expected: str
    measured: str
    verdict: Verdict


def judged(met: Sequence[bool]) -> Verdict:
    """What comes of an expectation that was met, or not, on each of several sets."""
    if not any(met):
        return "does not hold"
    return "holds" if all(met) else "holds partly"


def names() -> list[str]:
    """Of the claims that there are."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in found if name not in _NOT_CLAIMS and not name.startswith("_"))


def run_claims(wanted: Sequence[str], page: Path = PAGE, measured: Path = MEASURED) -> bool:
    """Measure the claims ``wanted``, print and keep what came out, and write the page; whether all hold.

    One that raises is told of and left as it was. InputError when there is none of such a name.
    """
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        raise InputError(f"No claim is called {', '.join(unknown)}. There are: {', '.join(names())}.")
    hold = True
    for name in wanted:
        module, began, rows = import_module(f"claims.{name}"), time.perf_counter(), list[Row]()
        try:
            for row in module.claim():
                print(
                    f"{name}: expected {row.expected}\n  measured {row.measured}: {row.verdict}", flush=True
                )
                rows.append(row)
        except Exception:  # a claim with a bug must not keep the others from being measured
            traceback.print_exc()
            hold = False
            continue
        hold = hold and all(row.verdict in ("holds", "") for row in rows)
        _keep(measured / f"{name}.json", module.__doc__ or "", rows, time.perf_counter() - began)
        write_page(page, measured)
    return hold


def unmeasured(measured: Path = MEASURED) -> list[str]:
    """Claims that nothing is kept of."""
    return [name for name in names() if not (measured / f"{name}.json").is_file()]


def _keep(path: Path, about: str, rows: Sequence[Row], seconds: float) -> None:
    content = {
        "about": about.strip(),
        "rows": [asdict(row) for row in rows],
        "seconds": round(seconds),
        "machine": machine(),
        "versions": versions(),
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_page(page: Path = PAGE, measured: Path = MEASURED) -> None:
    """``docs/claims.md`` from all that is kept."""
    kept = {name: measured / f"{name}.json" for name in names()}
    sections = [
        _section(name, json.loads(path.read_text("utf-8"))) for name, path in kept.items() if path.is_file()
    ]
    missing = [name for name, path in kept.items() if not path.is_file()]
    if missing:
        sections.append(f"Not measured yet: {', '.join(missing)}.\n")
    with atomic_write(page) as temporary:
        temporary.write_text("\n".join([_HEAD, *sections]), encoding="utf-8")


def _section(name: str, kept: dict[str, Any]) -> str:
    about = kept["machine"]
    lines = [
        f"## {name}",
        "",
        kept["about"],
        "",
        "| expected | measured | |",
        "| --- | --- | --- |",
        *(f"| {row['expected']} | {row['measured']} | {row['verdict']} |" for row in kept["rows"]),
        "",
        f"In {kept['seconds'] / 60:.0f} minutes on {about['cpu']}, {about['cores']} cores; "
        f"firstlight {kept['versions']['firstlight']}, torch {kept['versions']['torch']}.",
        "",
    ]
    return "\n".join(lines)
