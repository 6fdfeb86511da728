"""Sizes of .flz at the PSNR of other formats, by the same pictures.

    python benchmarks/compression.py SCENE|RUN … [--json FILE]

Cameras of a run are taken alternately: every second photo's measures what is seen, the others PSNR. Without a
run, a ring around the scene does. PSNR compares pictures of the file with pictures of the scene.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from firstlight.compress import cameras_around, cameras_of_run, encode_at, measure_sensitivity
from firstlight.compress._search import pictures, psnr
from firstlight.files import decode_flz, load_gaussians
from firstlight.scene import Cameras, Gaussians

OTHERS = (".ply", ".compressed.ply", ".spz", ".sog")


def measure(path: Path, count: int, max_size: int) -> list[dict[str, Any]]:
    scene = load_gaussians(path)
    cameras = cameras_of_run(path, max_size) if path.is_dir() else None
    cameras = cameras or cameras_around(scene, 2 * count, max_size)
    chosen = torch.arange(2 * min(count, len(cameras) // 2)) * len(cameras) // (2 * count)
    sensitivity = measure_sensitivity(scene, cameras.select(chosen[::2]))
    compared = cameras.select(chosen[1::2])
    original = pictures(scene, compared)

    def flz(quality: float) -> tuple[int, float]:
        data, _ = encode_at(scene, sensitivity, quality)
        return len(data), psnr(pictures(decode_flz(data, path), compared), original)

    curve = [(quality, *flz(quality)) for quality in (5.0, 6.0, 7.5, 9.0, 10.5)]
    rows: list[dict[str, Any]] = [
        {
            "scene": str(path),
            "format": ".flz",
            "gaussians": len(scene),
            "quality": q,
            "bytes": size,
            "psnr": db,
        }
        for q, size, db in curve
    ]
    for ending in OTHERS:
        size, db = other(scene, ending, compared, original)
        rows.append({"scene": str(path), "format": ending, "bytes": size, "psnr": db, "flz": same(curve, db)})
    return rows


def other(scene: Gaussians, ending: str, cameras: Cameras, original: list[torch.Tensor]) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scene{ending}"
        scene.save(path)
        return path.stat().st_size, psnr(pictures(load_gaussians(path), cameras), original)


def same(curve: list[tuple[float, int, float]], db: float) -> float | None:
    """Bytes of an .flz of that PSNR, between two points of the curve; None outside it."""
    for (_, size, low), (_, more, high) in pairwise(curve):
        if low <= db <= high:
            return size * math.exp((db - low) / (high - low) * math.log(more / size))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=int, default=8, help="to measure with, and as many to compare")
    parser.add_argument("--max-size", type=int, default=320)
    arguments = parser.parse_args()
    rows = [row for path in arguments.scenes for row in measure(path, arguments.pictures, arguments.max_size)]
    print("| scene | format | bytes | PSNR | .flz of that PSNR | smaller by |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        size, name = row.get("flz"), Path(row["scene"]).name
        beside = f"{size:,.0f} | {1 - size / row['bytes']:.0%}" if size else "– | –"
        print(f"| {name} | {row['format']} | {row['bytes']:,} | {row['psnr']:.2f} dB | {beside} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
