"""What came out, in a sentence and a few numbers."""

from __future__ import annotations

import re

from firstlight.evaluate.report import words
from firstlight.evaluate.report.folder import RunFolder, Table, number, table, text
from firstlight.evaluate.report.markup import Html, element


def headline(folder: RunFolder, judged: list[Table], held_out: bool) -> Html:
    """The top of the page. ``judged`` are the photos that the numbers come from."""
    run, summary = folder.run, table(folder.run.get("summary"))
    return element(
        "header",
        element("p", "firstlight", element("span", " report"), class_="brand"),
        element("h1", title(run)),
        element("p", _sentence(run, summary, judged, held_out), class_="lede"),
        _stopped(run, summary),
        element("dl", *_tiles(summary, held_out, bool(judged)), class_="tiles"),
        _aligned(summary),
        *(element("p", remark, class_="remark") for remark in folder.remarks),
    )


def title(run: Table) -> str:
    """The last part of where the photos came from."""
    parts = [part for part in re.split(r"[/\\]", text(run.get("photos"))) if part.strip(". ")]
    return parts[-1] if parts else "Untitled capture"


def _sentence(run: Table, summary: Table, judged: list[Table], held_out: bool) -> str:
    split = table(run.get("split"))
    train = split.get("train")
    trained = words.plural(len(train), "photo") if isinstance(train, list) else "photos"
    steps, seconds = number(summary.get("steps")), number(summary.get("seconds"))
    made = f"Made from {trained}"
    made += f" in {words.count(steps)} steps" if steps is not None else ""
    made += f" and {words.duration(seconds)}." if seconds is not None else "."
    if not judged:
        return made + " It has not been compared with any photo."
    if not held_out:
        return made + (
            " No photo was held out, so the numbers below are of photos that the scene was trained on: "
            "they say how well it remembers, not how it looks from elsewhere."
        )
    return made + f" Judged by {words.plural(len(judged), 'photo')} that it never saw."


def _stopped(run: Table, summary: Table) -> Html | None:
    if run.get("status") in ("complete", None):
        return None
    done, steps = number(summary.get("steps")), number(run.get("steps"))
    where = (
        f" at step {words.count(done)} of {words.count(steps)}"
        if done is not None and steps is not None
        else ""
    )
    return element(
        "p", f"This fit stopped{where}; 'firstlight fit … --resume' goes on with it.", class_="notice"
    )


def _tiles(summary: Table, held_out: bool, judged: bool) -> list[Html]:
    psnr = number(summary.get("psnr"))
    whose = "held-out photos" if held_out else "training photos"
    off = (
        ""
        if psnr is None
        else f"A colour is off by about {100 * 10 ** (-psnr / 20):.1f} % of the full range."
    )
    tiles = []
    if judged:
        tiles += [
            _tile(f"PSNR, {whose}", words.decimal(psnr), "dB", off, main=True),
            _tile(
                "SSIM",
                words.decimal(number(summary.get("ssim")), 3),
                "",
                "Likeness of structure; 1 is the same.",
            ),
            _tile(
                "FLIP",
                words.decimal(number(summary.get("flip")), 3),
                "",
                "Difference an eye sees; 0 is none.",
            ),
            _lpips(summary),
        ]
    gaussians, memory = number(summary.get("gaussians")), number(summary.get("peak_memory_mb"))
    return [
        *tiles,
        _tile("Gaussians", words.count(gaussians), "", "What the scene is made of."),
        _tile("Time", words.duration(number(summary.get("seconds"))), "", "From photos to this page."),
        _tile("Memory", words.megabytes(memory), "", "At its peak."),
    ]


def _lpips(summary: Table) -> Html:
    value = number(summary.get("lpips"))
    said = (
        "Difference to a trained network; 0 is none."
        if value is not None
        else text(summary.get("lpips_note"))
    )
    return _tile("LPIPS", words.decimal(value, 3), "", said)


def _tile(label: str, value: str, unit: str, said: str, main: bool = False) -> Html:
    shown = element("dd", value, element("small", f" {unit}") if unit else None, class_="value")
    return element(
        "div",
        element("dt", label),
        shown,
        element("dd", said, class_="said"),
        class_="tile main" if main else "tile",
    )


def _aligned(summary: Table) -> Html | None:
    value = number(summary.get("psnr_aligned"))
    if value is None:
        return None
    return element(
        "p",
        f"After fitting each render's colours to its photo, PSNR is {value:.2f} dB. That sets aside differences of "
        "exposure and white balance, which no other photo can foretell; it is not the number to quote.",
        class_="fine",
    )
