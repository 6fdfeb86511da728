"""One chart with a line for each recipe, as small inline SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass

from firstlight.evaluate.report.curves import HEIGHT, WIDTH, Bin, Frame, Series
from firstlight.evaluate.report.markup import Html, element


@dataclass(frozen=True)
class Line:
    """What one recipe did, seed by seed."""

    recipe: str
    color: str
    tracks: list[Series]  # on the way, in the order of steps
    ends: Series  # of each seed


def chart(title: str, label: str, lines: list[Line]) -> Html | None:
    """Tracks as thin lines with their mean end as a dot and a bar over seeds; None where there is no end."""
    kept = [line for line in lines if line.ends]
    if not kept:
        return None
    frame = _around([spot for line in kept for part in (*line.tracks, line.ends) for spot in part])
    drawing = element(
        "svg",
        element("title", title),
        frame.axes(label),
        *(_drawn(line, frame) for line in kept),
        view_box=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    return element("figure", element("figcaption", element("b", title)), drawing, class_="chart")


def _around(spots: Series) -> Frame:
    xs, ys = [x for x, _ in spots], [y for _, y in spots]
    pad = max(0.08 * (max(ys) - min(ys)), 0.05)
    right = max(xs) * 1.04 if max(xs) > 0 else 1.0
    low = min(ys) - pad
    return Frame(0.0, right, low if math.isfinite(low) else 0.0, max(ys) + pad)


def _drawn(line: Line, frame: Frame) -> Html:
    tracks = [track for track in line.tracks if len(track) > 1]
    end = _mean(line.ends)
    x, low, mean, high = frame.x(end.x), frame.y(end.low), frame.y(end.mean), frame.y(end.high)
    return element(
        "g",
        element("title", f"{line.recipe}: {end.mean:.2f} dB at {end.x:,.0f}"),
        *(element("polyline", class_="track", points=frame.points(track)) for track in tracks),
        element("line", class_="spread", x1=x, x2=x, y1=low, y2=high),
        element("circle", class_="end", cx=x, cy=mean, r=3.2),
        class_="of-recipe",
        data_recipe=line.recipe,
        data_color=line.color,
    )


def _mean(ends: Series) -> Bin:
    ys = [y for _, y in ends]
    return Bin(sum(x for x, _ in ends) / len(ends), min(ys), sum(ys) / len(ys), max(ys))
