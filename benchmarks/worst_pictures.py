"""The worst held-out pictures of a recipe: where it goes wrong, shown beside what there was to see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from comparisons import name_of, run_of

from firstlight.comparison import Comparison
from firstlight.files.atomic import atomic_write

HOW_MANY = 5
SIDE = 360  # pixels, long side of each picture
NOT_LOOKED_AT = "not looked at"


class Bad(NamedTuple):
    """One held-out photo that came out badly."""

    psnr: float
    photos: str  # its set's name
    views: int | None
    name: str
    render: Path
    photo: Path

    def title(self, recipe: str) -> str:
        return f"{self.photos}, {self.views or 'all'} training photos, {recipe}, {self.name}"


def worst_pictures(
    comparisons: Sequence[Comparison], recipe: str, page: Path, show: Sequence[str]
) -> list[str]:
    """Lines of the page, and the pictures: of each photo its worst render, the worst photos first."""
    found = _worst(comparisons, recipe)
    if not found:
        return []
    reasons_file = page.with_name("worst.json")
    reasons = json.loads(reasons_file.read_text()) if reasons_file.is_file() else {}
    lines = [
        f"## The worst held-out pictures of {recipe}",
        "",
        "Render on the left, photo on the right, where the photo's licence allows to show it. Why it is bad",
        f"is typed by whoever looked at it, into `{reasons_file.name}`.",
        "",
    ]
    for place, bad in enumerate(found, 1):
        title = bad.title(recipe)
        why = reasons.setdefault(title, "") or NOT_LOOKED_AT
        lines.append(f"{place}. {bad.psnr:.2f} dB: {title}: {why}")
        pair = _pair(bad)
        folder = _common(comparisons) / "worst"
        _write(folder / f"{place}.jpg", pair)
        if bad.photos in show:
            image = page.parent / "images" / f"worst-{place}.jpg"
            _write(image, pair)
            lines += ["", f"   ![{title}](images/{image.name})", ""]
    with atomic_write(reasons_file) as temporary:
        temporary.write_text(json.dumps(reasons, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return lines


def _worst(comparisons: Sequence[Comparison], recipe: str) -> list[Bad]:
    worst: dict[tuple[str, str], Bad] = {}
    for comparison in comparisons:
        name = name_of(comparison)
        for row in comparison.rows:
            for trial in row.trials if row.recipe == recipe else ():
                run = run_of(comparison, trial)
                for photo in run.about["per_photo"]:
                    if not photo["held_out"] or photo["psnr"] is None or not photo["files"]:
                        continue
                    files = [run.folder / photo["files"][kind] for kind in ("render", "photo")]
                    bad = Bad(photo["psnr"], name, row.views, photo["name"], *files)
                    worst[name, bad.name] = min(bad, worst.get((name, bad.name), bad))
    return sorted(worst.values())[:HOW_MANY]


def _common(comparisons: Sequence[Comparison]) -> Path:
    """The folder that all comparisons are in."""
    parents = [comparison.folder.resolve().parent for comparison in comparisons]
    return min(parents, key=lambda path: len(path.parts))


def _pair(bad: Bad) -> Any:
    """Render and photo side by side, BGR uint8."""
    pictures: list[Any] = [cv2.imread(str(path)) for path in (bad.render, bad.photo)]
    height, width = pictures[0].shape[:2]
    scale = min(SIDE / max(height, width), 1.0)
    size = (round(scale * width), round(scale * height))
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.concatenate([small[0], np.full((size[1], 4, 3), 255, np.uint8), small[1]], 1)


def _write(path: Path, picture: Any) -> None:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
