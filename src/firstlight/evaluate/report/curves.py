"""Curves over a fit as small inline SVG: a few kilobytes each, sharp at any size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from firstlight.evaluate.report import words
from firstlight.evaluate.report.folder import Table, number
from firstlight.evaluate.report.markup import Html, element, join

WIDTH, HEIGHT = 360, 216
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34
BINS = 80  # of a curve: enough for its shape, few enough to see it through the noise

Series = list[tuple[float, float]]


class Bin(NamedTuple):
    """Neighbouring steps drawn as one."""

    x: float
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Curve:
    """What one chart shows."""

    key: str  # of a line of metrics.jsonl
    title: str
    unit: str
    digits: int
    color: str  # CSS class
    from_zero: bool
    dots: str | None = None  # key of rarer values that are drawn as dots
    dots_title: str = ""


CURVES = (
    Curve("loss", "Loss", "", 4, "a", True),
    Curve("psnr", "PSNR", " dB", 2, "b", False, "test_psnr", "held out"),
    Curve("gaussians", "Gaussians", "", 0, "c", True),
)


def charts(metrics: list[Table]) -> Html | None:
    """Each curve over steps and over seconds; None where there are no two values to draw."""
    drawn = [
        _figure(curve, metrics, axis, label)
        for axis, label in (("step", "steps"), ("seconds", "seconds"))
        for curve in CURVES
    ]
    kept = [figure for figure in drawn if figure is not None]
    return join(*kept) if kept else None


def values(metrics: list[Table], x: str, y: str) -> Series:
    """(x, y) of the lines that have both, by x."""
    pairs = ((number(line.get(x)), number(line.get(y))) for line in metrics)
    return sorted((a, b) for a, b in pairs if a is not None and b is not None)


def bins(series: Series, limit: int = BINS) -> list[Bin]:
    """At most ``limit`` runs of neighbours of about the same number of values."""
    size = max(1, math.ceil(len(series) / limit))
    cuts = (series[i : i + size] for i in range(0, len(series), size))
    return [_bin(cut) for cut in cuts]


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers within [low, high], about ``wanted`` of them."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _bin(cut: Series) -> Bin:
    xs, ys = [x for x, _ in cut], [y for _, y in cut]
    return Bin(xs[-1], min(ys), sum(ys) / len(ys), max(ys))


def _figure(curve: Curve, metrics: list[Table], axis: str, axis_label: str) -> Html | None:
    series = values(metrics, axis, curve.key)
    line = bins(series)
    if len(line) < 2 or line[-1].x - line[0].x < 1e-6:
        return None
    dots = values(metrics, axis, curve.dots) if curve.dots else []
    frame = Frame.around(line, dots, curve.from_zero)
    band = [(b.x, b.high) for b in line] + [(b.x, b.low) for b in reversed(line)]
    mean = [(b.x, b.mean) for b in line]
    drawing = element(
        "svg",
        element("title", f"{curve.title} over {axis_label}"),
        frame.axes(axis_label),
        element("polygon", class_="band", points=frame.points(band)) if len(series) > BINS else None,
        element("polyline", class_="mean", points=frame.points(mean)),
        *(element("circle", class_="dot", cx=frame.x(x), cy=frame.y(y), r=2.6) for x, y in dots),
        view_box=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        data_x0=frame.x0,
        data_x1=frame.x1,
        data_y0=frame.y0,
        data_y1=frame.y1,
        data_left=LEFT,
        data_right=WIDTH - RIGHT,
        data_top=TOP,
        data_bottom=HEIGHT - BOTTOM,
        data_x=axis_label,
        data_unit=curve.unit,
    )
    caption = element(
        "figcaption",
        element("b", curve.title),
        element("span", f" ● {curve.dots_title}", class_="key") if dots else None,
        element("output", f"{series[-1][1]:,.{curve.digits}f}{curve.unit} at the end"),
    )
    return element("figure", caption, drawing, class_=f"chart by-{axis} {curve.color}")


@dataclass(frozen=True)
class Frame:
    """From values to a drawing of WIDTH × HEIGHT."""

    x0: float
    x1: float
    y0: float
    y1: float

    @staticmethod
    def around(line: list[Bin], dots: Series, from_zero: bool) -> Frame:
        """Room for the means and the dots; single steps far off do not flatten the curve."""
        ys = [item.mean for item in line] + [y for _, y in dots]
        low, high = min(ys), max(ys)
        flat = high - low <= 1e-6 * abs(high)
        pad = max(0.1 * abs(high) if flat else 0.08 * (high - low), 1e-9)
        return Frame(line[0].x, line[-1].x, 0.0 if from_zero and low >= 0 else low - pad, high + pad)

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        clipped = min(max(value, self.y0), self.y1)
        return HEIGHT - BOTTOM - (clipped - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)

    def points(self, series: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in series)

    def axes(self, label: str) -> Html:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        levels = [(value, self.y(value)) for value in ticks(self.y0, self.y1)]
        return element(
            "g",
            *(element("line", class_="grid", x1=LEFT, x2=right, y1=y, y2=y) for _, y in levels),
            *(_text(words.short(value), LEFT - 6, y + 3.5, "end") for value, y in levels),
            *(_text(words.short(x), self.x(x), bottom + 15, "middle") for x in ticks(self.x0, self.x1)),
            _text(label, right, HEIGHT - 3, "end"),
        )


def _text(shown: str, x: float, y: float, anchor: str) -> Html:
    return element("text", shown, x=x, y=y, text_anchor=anchor)
