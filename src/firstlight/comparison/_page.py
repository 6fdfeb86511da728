"""``compare.html``: every recipe's render of every held-out photo side by side, curves, and the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstlight.comparison._cameras import came_with_photos
from firstlight.comparison._curves import Line, chart
from firstlight.comparison._results import (
    COLUMNS,
    SEEN_WORDS,
    Column,
    Comparison,
    Row,
    known_columns,
    making_seconds,
)
from firstlight.evaluate.report import words
from firstlight.evaluate.report.folder import RunFolder, number, read_run_folder, table, tables, text
from firstlight.evaluate.report.markup import Html, element, join
from firstlight.evaluate.report.page import document, resource
from firstlight.evaluate.report.pictures import PictureError, embed
from firstlight.files.atomic import atomic_write
from firstlight.fitting import Recipe

MOST_PHOTOS = 8  # of one number of views: the page must stay one that opens at once
PICTURE = 480  # pixels, long side
KINDS = ("render", "error")
HUES = (211, 25, 140, 340, 265, 48, 180, 0, 95, 300)  # far apart, then the circle again in a lighter tone


def write_page(comparison: Comparison, recipes: Mapping[str, Recipe]) -> Path:
    """Write ``compare.html`` into the comparison's folder; it needs nothing beside itself."""
    name = f"{Path(comparison.plan.photos).name} · firstlight compare"
    style = join(resource("style.css", "firstlight.evaluate.report"), resource("compare.css", __package__))
    page = document(name, join(*_body(comparison, recipes)), style, resource("compare.js", __package__))
    with atomic_write(comparison.page) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return comparison.page


@dataclass(frozen=True)
class _Shown:
    """One recipe with one number of views, as the page shows it."""

    row: Row
    color: str
    runs: list[Path]  # run folders of its seeds


def _body(comparison: Comparison, recipes: Mapping[str, Recipe]) -> list[Html | None]:
    plan = comparison.plan
    colors = {name: _color(place) for place, name in enumerate(plan.recipes)}
    sections: list[Html | None] = [_header(comparison), _legend(recipes, colors)]
    for views in plan.views:
        shown = [
            _Shown(row, colors[row.recipe], [comparison.folder / "trials" / t.folder for t in row.trials])
            for row in comparison.ranked(views)
        ]
        sections.append(
            element(
                "section",
                element("h2", f"{words.plural(views, 'training photo')}" if views else "All training photos"),
                _table(shown),
                _curves(shown),
                _pictures(shown, str(views or "all")),
            )
        )  # fmt: skip
    return sections


def _color(place: int) -> str:
    return f"hsl({HUES[place % len(HUES)]} 62% {(46, 64)[place // len(HUES) % 2]}%)"


def _header(comparison: Comparison) -> Html:
    plan = comparison.plan
    budget = "each recipe's own number of steps"
    if plan.steps is not None:
        budget = f"{words.count(plan.steps)} steps each"
    elif plan.minutes is not None:
        budget = f"{words.duration(60 * plan.minutes)} each"
    aligned = ""
    if plan.poses == "train" and not came_with_photos(comparison.folder, plan):
        aligned = "The cameras of these are aligned to each finished scene before they are compared with it. "
    said = (
        f"{words.plural(len(plan.recipes), 'recipe')}, {words.plural(len(plan.seeds), 'seed')}, {budget}. "
        f"All share the photos (at most {plan.max_size} pixels), their cameras ({comparison.cameras()}) "
        f"and the photos held out, which the numbers are from. {aligned}"
        "Seconds are those of making the scene: preparing photos, dense geometry, the start and the fit, but "
        f"not compiling kernels and measuring. {SEEN_WORDS}. Behind ± is half the range over seeds."
    )
    return element(
        "header",
        element("p", "firstlight", element("span", " compare"), class_="brand"),
        element("h1", Path(plan.photos).name),
        element("p", said, class_="lede"),
    )


def _legend(recipes: Mapping[str, Recipe], colors: Mapping[str, str]) -> Html:
    """Each recipe's colour; unticking one hides it everywhere."""
    labels = [
        element(
            "label",
            element("input", type="checkbox", checked=True, data_recipe=name),
            element("i", class_="swatch", data_color=color),
            name,
            title=recipes[name].summary if name in recipes else None,
        )
        for name, color in colors.items()
    ]
    return element("fieldset", element("legend", "Recipes", class_="unseen"), *labels, class_="legend")


def _table(shown: list[_Shown]) -> Html:
    columns = known_columns([item.row for item in shown])
    best = _best([item.row for item in shown])
    head = element("tr", element("th", "recipe"), *(element("th", column.title) for column in columns))
    rows = [_table_row(item, columns, best) for item in shown]
    return element("div", element("table", head, *rows, class_="numbers-table"), class_="wide")


def _table_row(item: _Shown, columns: list[Column], best: Mapping[str, set[str]]) -> Html:
    row = item.row
    swatch = element("i", class_="swatch", data_color=item.color)
    if not row.numbers:
        cells = [element("td", row.why, colspan=max(1, len(columns)), class_="dim")]
    else:
        cells = [
            element(
                "td",
                row.words(column.key, column.digits),
                class_="best" if row.recipe in best.get(column.key, ()) else None,
            )
            for column in columns
        ]
    return element("tr", element("th", swatch, row.recipe), *cells, data_recipe=row.recipe)


def _best(rows: list[Row]) -> dict[str, set[str]]:
    """Metric → the recipes that are best in it."""
    found = {}
    for column in COLUMNS:
        values = {row.recipe: row.numbers[column.key].mean for row in rows if column.key in row.numbers}
        if len(values) > 1:
            most = (max if column.more else min)(values.values())
            found[column.key] = {recipe for recipe, value in values.items() if value == most}
    return found


def _curves(shown: list[_Shown]) -> Html:
    """Held-out PSNR on the way, against seconds and against Gaussians."""
    read = [(item, [read_run_folder(run) for run in item.runs]) for item in shown]
    seconds, gaussians = (
        [_line(item, folders, axis) for item, folders in read] for axis in ("seconds", "gaussians")
    )
    drawn = element(
        "div",
        chart("Held-out PSNR against seconds of making the scene", "seconds", seconds),
        chart("Held-out PSNR against Gaussians", "Gaussians", gaussians),
        class_="charts",
    )
    said = (
        "Lines are of each seed on the way, from the first fifth of its steps on; a dot is the mean of their "
        "ends. Where held-out cameras are aligned to the scene, that is for the dot alone."
    )
    return element("div", drawn, element("p", said, class_="fine"))


def _line(item: _Shown, folders: list[RunFolder], axis: str) -> Line:
    """One recipe against 'seconds' or 'gaussians', seed by seed."""
    tracks, ends = [], []
    for folder in folders:
        summary = table(folder.run.get("summary"))
        made, fitted = making_seconds(folder.run), number(summary.get("fit_seconds"))
        if axis == "gaussians":
            before, last = 0.0, number(summary.get(axis))
        else:  # the fit's own clock begins when there is something to fit
            before, last = (made or 0.0) - (fitted or 0.0), made
        tracks.append(
            [(before + x, y) for line in folder.metrics if (x := number(line.get(axis))) is not None
             and (y := number(line.get("test_psnr"))) is not None]
        )  # fmt: skip
        psnr = number(summary.get("psnr"))
        if last is not None and psnr is not None:
            ends.append((last, psnr))
    return Line(item.row.recipe, item.color, tracks, ends)


def _pictures(shown: list[_Shown], key: str) -> Html | None:
    """A grid of tiles for each held-out photo; the script shows one photo at a time and zooms all tiles."""
    scored = {item.row.recipe: _scores(item) for item in shown}
    every = list(dict.fromkeys(name for scores in scored.values() for name in scores))
    names = every[:MOST_PHOTOS]
    if not names:
        return None
    choice = element(
        "div",
        *(element("button", name, type="button", data_place=str(i)) for i, name in enumerate(names)),
        class_="choice",
        role="group",
        aria_label="Held-out photo",
    )
    kinds = element(
        "fieldset",
        element("legend", "Show", class_="unseen"),
        *(
            element(
                "label",
                element("input", type="radio", name=f"kind-{key}", value=kind, checked=kind == "render"),
                element("span", kind),
            )
            for kind in KINDS
        ),
        class_="pairs",
    )
    grids = [_grid(shown, scored, name, place) for place, name in enumerate(names)]
    said = "Wheel or pinch to zoom, drag to move: all pictures follow. Double click to reset."
    if len(every) > len(names):
        said = f"The first {len(names)} of {len(every)} held-out photos. {said}"
    hint = element("p", said, class_="fine")
    return element("div", element("div", choice, kinds, class_="bar"), hint, *grids, class_="side-by-side")


def _scores(item: _Shown) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Photo → run folder and entry of ``per_photo``, of the first seed."""
    if not item.runs:
        return {}
    run = item.runs[0]
    entries = tables(json.loads((run / "run.json").read_text()).get("per_photo"))
    return {text(entry.get("name")): (run, entry) for entry in entries}


def _grid(
    shown: list[_Shown],
    scored: Mapping[str, Mapping[str, tuple[Path, dict[str, Any]]]],
    name: str,
    place: int,
) -> Html:
    tiles: list[Html | None] = []
    for item in shown:
        found = scored[item.row.recipe].get(name)
        if found is None:
            continue
        run, entry = found
        files = table(entry.get("files"))
        if not tiles:
            tiles.append(_tile("photo", "", {"photo": _uri(run, files, "photo")}, None))
        caption = f"{item.row.recipe}  {words.decimal(number(entry.get('psnr')))} dB"
        pictures = {kind: _uri(run, files, kind) for kind in KINDS}
        tiles.append(_tile(caption, item.row.recipe, pictures, item.color))
    return element("div", *tiles, class_="tiles-grid", data_place=str(place), data_name=name)


def _uri(run: Path, files: Mapping[str, Any], kind: str) -> str | None:
    try:
        return embed(run, text(files.get(kind)), PICTURE).uri
    except PictureError:
        return None


def _tile(caption: str, recipe: str, pictures: Mapping[str, str | None], color: str | None) -> Html:
    images = [
        element("img", src=uri, alt=f"{kind}, {caption}", data_kind=kind, draggable="false", decoding="async")
        if uri is not None
        else element("p", f"{kind}: missing", class_="missing", data_kind=kind)
        for kind, uri in pictures.items()
    ]
    swatch = element("i", class_="swatch", data_color=color) if color else None
    return element(
        "figure",
        element("div", *images, class_="window"),
        element("figcaption", swatch, caption),
        data_recipe=recipe or None,
    )
