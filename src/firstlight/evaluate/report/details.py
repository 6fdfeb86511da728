"""What else a run tells of itself: where the time went, what stayed out, how it was set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from firstlight.evaluate.report import words
from firstlight.evaluate.report.cameras import layout, maps
from firstlight.evaluate.report.curves import charts
from firstlight.evaluate.report.folder import RunFolder, Table, number, table, tables, text
from firstlight.evaluate.report.markup import Html, element, join

# Of this computer or the one before: /a, C:\a, ~/a, ./a, or a/b without spaces, which is no sentence.
PATH = re.compile(r"(?:[A-Za-z]:|~\w*|\.{1,2})?[/\\].*|(?!\w+://)\S+[/\\]\S+")

STAGES = {
    "load": "Reading the photos",
    "poses": "Finding the cameras",
    "prepare": "Undistorting, resizing",
    "geometry": "Dense geometry",
    "start": "First Gaussians",
    "fit": "Fitting",
    "evaluate": "Comparing with photos",
    "report": "This page",
}


def progress_section(metrics: list[Table]) -> Html | None:
    """Loss, PSNR and Gaussians over the fit."""
    drawn = charts(metrics)
    if drawn is None:
        return None
    choice = [
        join(
            element("input", type="radio", name="axis", id=f"axis-{axis}", checked=axis == "step"),
            element("label", f"over {label}", for_=f"axis-{axis}"),
        )
        for axis, label in (("step", "steps"), ("seconds", "seconds"))
    ]
    return element(
        "section",
        element("h2", "How the fit went"),
        element(
            "p",
            "Loss and PSNR are of each step's own photo; the shade spans neighbouring steps.",
            class_="fine",
        ),
        element("div", *choice, element("div", drawn, class_="charts"), class_="curves"),
        id="fit",
    )


def map_section(poses: Table | None, test: set[str]) -> Html | None:
    """Where the photos were taken from."""
    found = layout(poses) if poses else None
    if found is None:
        return None
    above, side = maps(found, test)
    placed = words.plural(len(found.cameras), "camera")
    return element(
        "section",
        element("h2", "Where the photos were taken"),
        element(
            "p",
            f"{placed}; ",
            element("span", "held-out ones", class_="held") if test else None,
            " are marked. " if test else None,
            "Which way is up is a guess from how the photos were held." if len(found.cameras) > 1 else None,
            class_="fine",
        ),
        element(
            "div",
            element("figure", above, element("figcaption", "From above")),
            element("figure", side, element("figcaption", "From the side")),
            class_="maps",
        ),
        id="cameras",
    )


def time_section(run: Table) -> Html | None:
    """Seconds by stage as bars, and memory."""
    spent = [(name, number(value)) for name, value in table(run.get("timings")).items()]
    timings = [(STAGES.get(name, name), value) for name, value in spent if value is not None and value >= 0]
    if not timings:
        return None
    total = sum(value for _, value in timings)
    rows = [_bar(name, value, value / total if total > 0 else 0.0) for name, value in timings]
    return element(
        "section",
        element("h2", "Where time and memory went"),
        element("table", element("tbody", *rows), class_="bars"),
        element("p", f"Together {words.duration(total)}.{_memory(run)}", class_="fine"),
        id="time",
    )


def aside_section(folder: RunFolder) -> Html | None:
    """Photos that were not used, and why; None where all were."""
    entries = tables(folder.run.get("set_aside"))
    if folder.poses:
        entries += [photo for photo in tables(folder.poses.get("photos")) if photo.get("placed") is False]
    reasons = {text(entry.get("name")): text(entry.get("reason")) or "no reason given" for entry in entries}
    if not reasons:
        return None
    return element(
        "section",
        element("h2", f"{words.plural(len(reasons), 'photo')} set aside"),
        _two_columns(reasons.items()),
        id="aside",
    )


def settings_section(run: Table) -> Html:
    """Recipe, machine and versions, folded away."""
    asked: Table = {key: run[key] for key in ("photos", "layout", "seed", "steps") if key in run}
    if "photos" in asked:
        asked["photos"] = last_part(text(asked["photos"]))
    asked |= {key: value for key, value in table(run.get("options")).items() if key not in asked}
    versions = {"firstlight": run["firstlight"]} if "firstlight" in run else {}
    folds = [
        _fold("What was asked for", asked, without_folders),
        _fold("Recipe", table(run.get("recipe")), without_folders),
        _fold("Dense geometry", table(run.get("geometry")), without_folders),
        _fold("Machine", table(run.get("machine"))),
        _fold("Versions", versions | table(run.get("versions"))),
        _fold("Which photos trained and which were held out", table(run.get("split"))),
    ]
    return element("section", element("h2", "Settings"), *folds, id="settings")


def without_folders(said: str) -> str:
    """A path's last part, anything else as it is: pages are passed on, and where things lie is private."""
    return last_part(said) if PATH.fullmatch(said) else said


def last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, value); lists of plain values stay on one line."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flattened(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for place, item in enumerate(value):
            yield from flattened(item, f"{name}.{place}")
    elif isinstance(value, list):
        yield name, ", ".join(text(item) for item in value) or "none"
    else:
        yield name, text(value) or words.DASH


def _bar(name: str, seconds: float, share: float) -> Html:
    drawing = element(
        "svg", element("rect", width=f"{100 * share:.2f}%", height="100%", rx=2), aria_hidden="true"
    )
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", drawing, class_="grow"),
        element("td", words.duration(seconds), class_="figure"),
        element("td", f"{100 * share:.0f} %", class_="figure dim"),
    )


def _memory(run: Table) -> str:
    peak = number(table(run.get("summary")).get("peak_memory_mb"))
    if peak is None:
        return ""
    whole = number(table(run.get("machine")).get("memory_gb"))
    of = f" of the machine's {whole:g} GB" if whole is not None else ""
    return f" At its peak it held {words.megabytes(peak)}{of}."


def _fold(title: str, value: Table, told: Callable[[str], str] = str) -> Html | None:
    """``told`` says what is shown of each value's words."""
    if not value:
        return None
    rows = [(name, told(said)) for name, said in flattened(value)]
    return element("details", element("summary", title), _two_columns(rows))


def _two_columns(rows: Iterable[tuple[str, str]]) -> Html:
    written = [element("tr", element("th", left, scope="row"), element("td", right)) for left, right in rows]
    return element("table", element("tbody", *written), class_="pairs-table")
