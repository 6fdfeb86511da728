"""Photos beside what was rendered from where they were taken."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.evaluate.report import words
from firstlight.evaluate.report.folder import RunFolder, Table, number, table, tables, text
from firstlight.evaluate.report.markup import Html, element, join
from firstlight.evaluate.report.pictures import Embedded, PictureError, embed

KINDS = ("photo", "render", "error")
SEEN = "seen"  # only where it was asked which pixels training photos had shown
TITLES = {"photo": "Photo", "render": "Render", "error": "Error", SEEN: "Dark: no training photo shows it"}
OPEN_ROWS = 8
MOST_PHOTOS = 48
THUMBNAIL = 144  # pixels


def judged_photos(run: Table) -> tuple[list[Table], bool]:
    """The photos to show and whether they were held out; training photos only where none was."""
    entries = tables(run.get("per_photo"))
    held = [entry for entry in entries if entry.get("held_out")]
    return held or entries, bool(held)


def held_out_names(run: Table) -> set[str]:
    """Names of ``split.test``, and those of the panoramas that faces among them were cut from."""
    test = table(run.get("split")).get("test")
    names = {name for name in test if isinstance(name, str)} if isinstance(test, list) else set()
    return names | {name.rpartition("/")[0] for name in names}


def gallery(folder: RunFolder, judged: list[Table], held_out: bool) -> Html | None:
    """The section with every photo; None where there is none."""
    if not judged:
        return None
    picked = spread(judged, MOST_PHOTOS)
    max_side = picture_size(len(picked))
    rows = [_row(folder, entry, place, max_side) for place, entry in enumerate(picked)]
    first, rest = rows[:OPEN_ROWS], rows[OPEN_ROWS:]
    return element(
        "section",
        element("h2", "Photos it never saw" if held_out else "Training photos (none was held out)"),
        element("p", _about(len(picked), len(judged), max_side), class_="fine"),
        _stage(),
        element("div", *(row.thumbnail for row in rows), class_="film", role="group", aria_label="Photos"),
        element("h3", "Side by side"),
        element("div", *(row.article for row in first), class_="rows"),
        element(
            "details",
            element("summary", f"The other {len(rest)}"),
            element("div", *(row.article for row in rest), class_="rows"),
        )
        if rest
        else None,
        id="photos",
    )


def spread(entries: list[Table], most: int) -> list[Table]:
    """At most ``most`` of them, evenly spaced."""
    if len(entries) <= most:
        return entries
    return [entries[i * (len(entries) - 1) // (most - 1)] for i in range(most)]


def picture_size(photos: int) -> int:
    """The long side of embedded pictures in pixels: a page of many stays one that a mail can carry."""
    return next(side for most, side in ((12, 1008), (24, 768), (MOST_PHOTOS, 560)) if photos <= most)


@dataclass(frozen=True)
class _Row:
    article: Html
    thumbnail: Html


def _about(shown: int, judged: int, max_side: int) -> str:
    some = f"{shown} of {judged} photos, evenly spaced. " if shown < judged else ""
    return (
        f"{some}The error is FLIP: black where an eye sees no difference, bright where it sees much. "
        f"Pictures here are at most {max_side} pixels wide or high; the full ones are in renders/."
    )


def _row(folder: RunFolder, entry: Table, place: int, max_side: int) -> _Row:
    name, files = text(entry.get("name")) or f"photo {place + 1}", table(entry.get("files"))
    psnr = words.decimal(number(entry.get("psnr")))
    kinds = (*KINDS, SEEN) if SEEN in files else KINDS
    pictures = {kind: _embed(folder, files.get(kind), max_side) for kind in kinds}
    article = element(
        "article",
        element("h4", name),
        element("p", *_numbers(entry), class_="numbers"),
        element(
            "div",
            *(_figure(kind, pictures[kind], name) for kind in kinds),
            class_="four" if SEEN in kinds else "three",
        ),
        data_name=name,
        data_psnr=psnr,
        id=f"photo-{place}",
    )
    return _Row(article, _thumbnail(folder, files, name, psnr, place))


def _embed(folder: RunFolder, relative: object, max_side: int) -> Embedded | str:
    """The picture, or why it is not there."""
    if not isinstance(relative, str):
        return "not in the run folder"
    try:
        return embed(folder.path, relative, max_side)
    except PictureError as error:
        return str(error)


def _numbers(entry: Table) -> list[Html]:
    shown = (
        ("PSNR", "psnr", 2, " dB"),
        ("SSIM", "ssim", 3, ""),
        ("FLIP", "flip", 3, ""),
        ("LPIPS", "lpips", 3, ""),
        ("PSNR with colours fitted", "psnr_aligned", 2, " dB"),
        ("PSNR where a training photo looked", "psnr_seen", 2, " dB"),
    )
    read = ((label, number(entry.get(key)), digits, unit) for label, key, digits, unit in shown)
    return [
        element("span", f"{label} ", element("b", words.decimal(value, digits) + unit))
        for label, value, digits, unit in read
        if value is not None
    ]


def _figure(kind: str, picture: Embedded | str, name: str) -> Html:
    caption = element("figcaption", TITLES[kind])
    if isinstance(picture, str):
        return element("figure", element("p", picture, class_="missing"), caption)
    shown = element(
        "img",
        src=picture.uri,
        width=picture.width,
        height=picture.height,
        alt=f"{TITLES[kind]} of {name}",
        decoding="async",
        data_kind=kind,
    )
    return element("figure", shown, caption)


def _thumbnail(folder: RunFolder, files: Table, name: str, psnr: str, place: int) -> Html:
    small = _embed(folder, files.get("photo", files.get("render")), THUMBNAIL)
    picture = None if isinstance(small, str) else element("img", src=small.uri, alt="", height=72)
    label = element("span", psnr)
    return element(
        "button", picture, label, type="button", title=name, aria_label=f"Show {name}", data_place=str(place)
    )


def _stage() -> Html:
    """One photo, large, with a slider; the script fills it and shows it."""
    pairs = (("photo", "render"), ("photo", "error"), ("render", "error"))
    choices = [
        element(
            "label",
            element("input", type="radio", name="pair", value=" ".join(pair), checked=place == 0),
            element("span", f"{TITLES[pair[0]]} | {TITLES[pair[1]].lower()}"),
        )
        for place, pair in enumerate(pairs)
    ]
    frame = element(
        "div",
        element("img", alt="", class_="under", draggable="false"),
        element("img", alt="", class_="over", draggable="false"),
        element("span", class_="tag left"),
        element("span", class_="tag right"),
        element(
            "input",
            type="range",
            min=0,
            max=100,
            step=0.5,
            value=50,
            aria_label="Slide between the two pictures",
        ),
        element("i", class_="handle", aria_hidden="true"),
        class_="frame",
    )
    bar = element(
        "div",
        element("button", "‹", type="button", class_="step", data_by="-1", aria_label="Previous photo"),
        element("p", class_="now", aria_live="polite"),
        element("button", "›", type="button", class_="step", data_by="1", aria_label="Next photo"),
        element("fieldset", element("legend", "Compare", class_="unseen"), join(*choices), class_="pairs"),
        class_="bar",
    )
    return element("div", frame, bar, class_="stage", hidden=True)
