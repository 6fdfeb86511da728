"""What each format costs and keeps, measured on a real scene, as docs/formats.md.

    python benchmarks/formats.py SCENE [SCENE …] [--page docs/formats.md] [--pictures 4] [--max-size 480]

A SCENE is a run folder, which its held-out cameras look at, or a scene file, around which a ring is put.
Each is written in every format, read back and rendered; the picture of what was read is compared with that
of the original. Other programs then read the same files (tests/files/independent.py; SPLAT_TRANSFORM names
the command of PlayCanvas's converter), and what they read is compared with what we read.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from firstlight.capture import load
from firstlight.compress import cameras_around, cameras_of_run
from firstlight.errors import InputError
from firstlight.files import FORMATS, Format, load_gaussians, scene_file
from firstlight.pipeline import Run, prepare
from firstlight.pipeline.machine import machine, package_version
from firstlight.poses import load_placed
from firstlight.render import render_camera
from firstlight.scene import Cameras, Gaussians

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.files.independent import READERS, differences, installed

# A difference to our own reading that is rounding, not another opinion of the format.
SAME = {
    "means": 1e-3,
    "scales": 1e-2,
    "rotations": 1e-3,
    "opacities": 5e-3,
    "colours": 5e-3,
    "harmonics": 5e-3,
}


@dataclass
class Row:
    """One format of one scene."""

    format: Format
    size: int = 0  # bytes
    seconds: tuple[float, float] = (0.0, 0.0)  # to write, to read
    psnr: float = math.inf
    loss: float | None = None  # dB against photos
    opened: list[str] = field(default_factory=list)


class Views(NamedTuple):
    """What a scene is looked at with."""

    cameras: Cameras
    original: list[Tensor]  # pictures of the scene
    photos: list[Tensor]  # that no Gaussian was trained on, as large; none where the scene is no run


def views_of(path: Path, scene: Gaussians, count: int, max_size: int) -> Views:
    """Of a run: its held-out photos. Else, or where they are gone, a run's own cameras, or a ring of them."""
    cameras, photos = held_out(path, max_size) if path.is_dir() else (None, [])
    if cameras is None and path.is_dir():
        cameras = cameras_of_run(path, max_size)
    if cameras is None:
        cameras = cameras_around(scene, count, max_size)
    chosen = torch.arange(min(count, len(cameras))) * len(cameras) // min(count, len(cameras))
    cameras, photos = cameras.select(chosen), [photos[i] for i in chosen.tolist() if photos]
    return Views(cameras, pictures(scene, cameras), photos)


def held_out(path: Path, max_size: int) -> tuple[Cameras | None, list[Tensor]]:
    """Cameras and pictures of the photos that a run was measured with, where they can still be read."""
    run = Run.open(path)
    try:
        capture = prepare(load_placed(path, load(str(run.about["photos"]))).capture, max_size)
    except InputError:
        return None, []
    names = run.about["split"]["test"]
    found = [i for i, photo in enumerate(capture.photos) if photo.name in names]
    if capture.cameras is None or not found:
        return None, []
    decoded = [torch.from_numpy(capture.photos[i].decode().rgb).float() / 255 for i in found]
    return capture.cameras.select(found), decoded


@torch.no_grad()
def pictures(scene: Gaussians, cameras: Cameras) -> list[Tensor]:
    return [render_camera(scene, cameras.select([i]))[0].clamp(0, 1) for i in range(len(cameras))]


def psnr(a: list[Tensor], b: list[Tensor]) -> float:
    """Of the mean squared error over all pictures; infinite where they are the same."""
    error = float(torch.stack([(x - y).square().mean() for x, y in zip(a, b, strict=True)]).mean())
    return -10 * math.log10(error) if error else math.inf


def measure(format: Format, scene: Gaussians, views: Views, folder: Path) -> Row:
    """Write, read, render; then let the others read."""
    inside = folder / ("sog" if format.ending == "meta.json" else "")
    path = inside / ("scene" + format.ending if format.ending.startswith(".") else format.ending)
    row = Row(format)
    start = time.perf_counter()
    scene.save(path)
    wrote = time.perf_counter()
    read = load_gaussians(path)
    row.seconds = (wrote - start, time.perf_counter() - wrote)
    files = inside.iterdir() if format.ending == "meta.json" else [path]
    row.size = sum(file.stat().st_size for file in files)
    seen = pictures(read, views.cameras)
    row.psnr = psnr(views.original, seen)
    if views.photos:
        row.loss = psnr(views.photos, views.original) - psnr(views.photos, seen)
    row.opened = [f"{name}{version_of(name)}: {verdict(name, format, path, read)}"
                  for name in READERS.get(format.ending, {}) if installed(name)]  # fmt: skip
    return row


def verdict(name: str, format: Format, path: Path, ours: Gaussians) -> str:
    """What another program made of the file: the same as we, or what differs."""
    try:
        theirs = READERS[format.ending][name](path)
    except Exception as error:  # whatever another program raises is what the table says
        return f"fails ({type(error).__name__})"
    if len(theirs) != len(ours):
        return f"{len(theirs):,} Gaussians"
    off = [what for what, value in differences(ours, theirs).items() if not value <= SAME[what]]
    return "differs in " + ", ".join(off) if off else "same"


def version_of(name: str) -> str:
    found = package_version(name)
    return "" if found == "not installed" else f" {found}"


def table(rows: list[Row], count: int) -> list[str]:
    ply = next(row.size for row in rows if row.format.ending == ".ply")
    lines = [
        "| format | bytes a Gaussian | MB | smaller than .ply | PSNR of the picture | lost against photos "
        "| write, read s | read by others |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in sorted(rows, key=lambda row: row.size):
        picture = "same" if math.isinf(row.psnr) else f"{row.psnr:.1f} dB"
        loss = "–" if row.loss is None else f"{row.loss:.2f} dB".replace("-", "−")
        lines.append(
            f"| {row.format.name} (`{row.format.ending}`) | {row.size / count:.1f} | {row.size / 1e6:.2f} | "
            f"{ply / row.size:.1f}× | {picture} | {loss} | {row.seconds[0]:.1f}, {row.seconds[1]:.1f} | "
            f"{'; '.join(row.opened) or '–'} |"
        )
    return lines


HEAD = """# Formats

Written by `benchmarks/formats.py`; not edited by hand.

`firstlight convert IN OUT` goes from any of these to any other, `Gaussians.load` and `Gaussians.save` read and
write them. The content of a file decides how it is read, its ending how it is written.

## What each can hold

| format | ending | written | harmonics | places | sizes | colours and opacities | other harmonics |
| --- | --- | --- | --- | --- | --- | --- | --- |
| PLY, CSV, NPZ | `.ply` `.csv` `.npz` | yes | 4 | exact | exact | exact | exact |
| glTF, KHR_gaussian_splatting | `.glb`; `.gltf` is read | yes | 3 | exact | float32 as they act | exact; float32 as they act | exact |
| Compressed PLY | `.compressed.ply` | yes | 3 | 11, 10, 11 bits a side of 256 neighbours' box | the same of their logs | 8 bits between neighbours' extremes; 8 bits | ±4 in steps of 1/32 |
| SPZ 1 to 4 | `.spz` | 2, 3, 4 | 3; 4 in version 4 | 24-bit fixed point | log −10 … 5.9 in steps of 1/16 | −0.44 … 1.44 in 255 steps; 8 bits | ±1 in steps of 1/16 |
| FLZ 1 ([how](flz.md)) | `.flz` | yes | 4 | finer the more is seen of a Gaussian | the same | the same | the same, along their principal axes |
| forest 1 ([how](forest.md)) | `.forest` | by the recipe `gaussianforest` | 4 | 12 bits a side of a tree's box | decoded by a network | decoded; 8 bits | decoded |
| SOG 2 | `.sog`, `meta.json` in a folder | yes | 3 | 16 bits a side, of log(1 + x) | 256 log-sizes | 256 numbers; 8 bits | a palette of N/4 sets, 4,096 to 65,536 |
| SPLAT | `.splat` | yes | 0 | exact | float32 as they act | 0 … 1 in 255 steps; 8 bits | none |
| KSPLAT | `.ksplat` | no | 2 | | | | |

- Axes: scenes of photos have y downwards. All formats keep it so, but glTF, which says that y is up, and is
  turned when written and when read. **Programs disagree about .spz**: its specification has y up, and its flag says nothing.
  gsply, gaussforge and splat-transform 3 store the .ply's axes, as firstlight does; splat-transform 2 turns
  them. A scene that stands on its head is put right by `firstlight convert IN OUT --rotate 180 0 0`.
- .spz with few Gaussians 16 times farther out than 99 of 100 others: they are brought nearer and made smaller, which from
  among the others looks the same. Otherwise they would take the precision from all.
- That a scene was fitted with antialiasing is not kept by any of them yet, nor read.
- Not read: SOG 1, streamed SOG, glTF with SPZ inside, 2D Gaussians, USD.
- A file is not believed: counts are held against its size, nothing is unpacked beyond what was promised, and
  names in it do not lead out of its folder.
"""  # noqa: E501


def page(sections: list[str]) -> str:
    about = machine()
    note = (
        f"{about['cpu']}, {about['cores']} cores, beside other work: take the seconds as ratios. "
        "PSNR compares our picture of what was read with our picture of the original, over the mean squared "
        "error of all pictures; beside it, by how much they are then farther from held-out photos. 'same' of "
        "another program means that it reads the numbers "
        "from our file that we read from it."
    )
    return "\n".join([HEAD, "## Measured", "", note, "", *sections]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/formats.md"))
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--max-size", type=int, default=480, help="long side of the pictures, in pixels")
    arguments = parser.parse_args()
    sections = list[str]()
    for path in arguments.scenes:
        scene = load_gaussians(path)
        views = views_of(path, scene, arguments.pictures, arguments.max_size)
        rows = list[Row]()
        with tempfile.TemporaryDirectory() as folder:
            for format in FORMATS:
                if format.write is not None:
                    rows.append(measure(format, scene, views, Path(folder)))
                    print(path, format.ending, rows[-1].size, f"{rows[-1].psnr:.2f} dB", flush=True)
        name = path.name if path.is_dir() else scene_file(path).name
        sections += [
            f"### {name}: {len(scene):,} Gaussians of degree {scene.degree}",
            "",
            *table(rows, len(scene)),
            "",
        ]
    arguments.page.write_text(page(sections))


if __name__ == "__main__":
    main()
