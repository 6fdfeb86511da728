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
        _aligned_cameras(summary),
        _aligned(summary),
        _seen(summary),
        *(element("p", remark, class_="remark") for remark in folder.remarks),
    )


def title(run: Table) -> str:
    """The last telling part of where the photos came from."""
    parts = [part for part in re.split(r"[/\\]", text(run.get("photos"))) if part.strip(". ")]
    telling = [part for part in parts if part.lower() not in ("images", "photos", "input")]
    return (telling or parts or ["Untitled capture"])[-1]


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
    where = "" if done is None or steps is None else f" at step {words.count(done)} of {words.count(steps)}"
    said = f"This fit stopped{where}; 'firstlight fit … --resume' goes on with it."
    return element("p", said, class_="notice")


def _tiles(summary: Table, held_out: bool, judged: bool) -> list[Html]:
    gaussians, seconds = number(summary.get("gaussians")), number(summary.get("seconds"))
    memory = number(summary.get("peak_memory_mb"))
    return [
        *(_quality(summary, "held-out photos" if held_out else "training photos") if judged else []),
        _tile("Gaussians", words.count(gaussians), "What the scene is made of."),
        _tile("Time", words.duration(seconds), "From photos to this page."),
        _tile("Memory", words.megabytes(memory), "At its peak."),
    ]


def _quality(summary: Table, whose: str) -> list[Html]:
    psnr, ssim = number(summary.get("psnr")), number(summary.get("ssim"))
    flip, lpips = number(summary.get("flip")), number(summary.get("lpips"))
    seen = text(summary.get("lpips_note")) if lpips is None else "Difference a network sees; 0 is none."
    return [
        _tile(f"PSNR, {whose}", words.decimal(psnr), _colour_error(psnr), unit="dB", main=True),
        _tile("SSIM", words.decimal(ssim, 3), "Likeness of structure; 1 is the same."),
        _tile("FLIP", words.decimal(flip, 3), "Difference an eye sees; 0 is none."),
        _tile("LPIPS", words.decimal(lpips, 3), seen),
    ]


def _colour_error(psnr: float | None) -> str:
    """PSNR in other words: it is -20 log10 of the root mean square error."""
    if psnr is None or not 0 <= psnr <= 200:
        return ""
    return f"A colour is off by about {100 * 10 ** (-psnr / 20):.1f} % of the full range."


def _tile(label: str, value: str, said: str, unit: str = "", main: bool = False) -> Html:
    shown = element("dd", value, element("small", f" {unit}") if unit else None, class_="value")
    explained = element("dd", said, class_="said")
    return element("div", element("dt", label), shown, explained, class_="tile main" if main else "tile")


def _aligned_cameras(summary: Table) -> Html | None:
    before, after = number(summary.get("psnr_unaligned_cameras")), number(summary.get("psnr"))
    if before is None or after is None:
        return None
    return element(
        "p",
        "The cameras of these photos were aligned to the finished scene by how it looks from them, because "
        "the cameras that it was made with had moved, or had been found without these photos. "
        f"Before that, PSNR was {before:.2f} dB; after it, {after:.2f} dB.",
        class_="fine",
    )


def _aligned(summary: Table) -> Html | None:
    value = number(summary.get("psnr_aligned"))
    if value is None:
        return None
    return element(
        "p",
        f"After fitting each render's colours to its photo, PSNR is {value:.2f} dB. That sets aside "
        "differences of exposure and white balance, which no other photo can foretell; "
        "it is not the number to quote.",
        class_="fine",
    )


def _seen(summary: Table) -> Html | None:
    share, value = number(summary.get("seen")), number(summary.get("psnr_seen"))
    if share is None or value is None:
        return None
    return element(
        "p",
        f"{100 * share:.0f} % of these photos show surfaces that training photos show too; there, PSNR is "
        f"{value:.2f} dB. The rest, dark in the pictures below, had to be made up. Which is which is judged "
        "by the finished scene's own depth.",
        class_="fine",
    )
