"""Run folders made up for tests, hostile ones too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HOSTILE = [
    "<script>document.title='pwned'</script>.jpg",
    "\"onload=\"document.title='pwned'\" x='.jpg",
    "'><img src=x onerror=document.title='pwned'>.jpg",
    "Überraschung – 猫 \u202e 🍌.jpg",
    "long/" + "n" * 3000 + ".jpg",
    "half \ud800 surrogate.jpg",
    "</title></style></script><b>.jpg",
    "javascript:alert(1)&amp;&lt;.jpg",
]


def run_folder(path: Path, names: list[str] | None = None, held_out: bool = True, steps: int = 60) -> Path:
    """A complete run of ``names`` with small pictures; each photo is grey, ever brighter."""
    names = ["one.jpg", "two.jpg", "three.jpg"] if names is None else names
    (path / "renders").mkdir(parents=True)
    per_photo = [photo_entry(path, place, name, held_out) for place, name in enumerate(names)]
    write(path, "run.json", run_json(names, per_photo, held_out))
    write(path, "poses.json", poses_json(names))
    lines = [metrics_line(step) for step in range(1, steps + 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write(path: Path, name: str, content: object) -> None:
    (path / name).write_text(json.dumps(content))


def read(path: Path, name: str) -> Any:
    return json.loads((path / name).read_text())


def photo_entry(path: Path, place: int, name: str, held_out: bool) -> dict[str, Any]:
    files = {}
    for kind, color in (("photo", 40 + 50 * place), ("render", 20), ("error", 250)):
        files[kind] = f"renders/{place:04d}.{kind}.png"
        cv2.imwrite(str(path / files[kind]), np.full((60, 90, 3), min(color, 255), np.uint8))
    numbers = {"psnr": 20.0 + place, "ssim": 0.8, "flip": 0.1, "psnr_aligned": 23.5, "lpips": None}
    return {"name": name, "held_out": held_out, "width": 90, "height": 60, "files": files, **numbers}


def run_json(names: list[str], per_photo: list[dict[str, Any]], held_out: bool) -> dict[str, Any]:
    return {
        "firstlight": "0.1.0",
        "status": "complete",
        "photos": "/home/somebody/holiday/banana/images",
        "layout": "folder of photos",
        "seed": 0,
        "steps": 60,
        "recipe": {"name": "default", "rates": {"means": 0.00016}, "losses": [{"part": "Photometric"}]},
        "split": {"train": ["t1.jpg", "t2.jpg"], "test": names if held_out else []},
        "machine": {"cpu": "a processor", "cores": 2, "memory_gb": 16.8, "platform": "Linux"},
        "versions": {"torch": "2.13.0"},
        "timings": {"load": 0.4, "poses": 30.0, "fit": 225.0, "evaluate": 8.0},
        "summary": {
            "psnr": 21.0, "ssim": 0.8, "flip": 0.1, "lpips": None, "lpips_note": "not computed: no weights",
            "psnr_aligned": 23.5, "seconds": 263.4, "steps": 60, "gaussians": 48231, "peak_memory_mb": 812.0,
        },
        "per_photo": per_photo,
        "set_aside": [{"name": "broken.jpg", "reason": "truncated"}],
    }  # fmt: skip


def poses_json(names: list[str]) -> dict[str, Any]:
    photos: list[dict[str, Any]] = []
    for place, name in enumerate(["t1.jpg", "t2.jpg", *names]):
        angle = place * 0.7
        rotation = np.array(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        )
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = rotation, [0, 0, 4]
        K = [[80, 0, 45], [0, 80, 30], [0, 0, 1]]
        entry = {"name": name, "placed": True, "viewmat": viewmat.tolist(), "K": K, "width": 90, "height": 60}
        photos.append(entry)
    photos.append({"name": "lost.jpg", "placed": False, "viewmat": None, "K": None, "reason": "no overlap"})
    points = np.random.default_rng(0).normal(0, 1, (50, 3)).tolist()
    return {"photos": photos, "points": [[*point, 200, 100, 50] for point in points]}


def metrics_line(step: int) -> dict[str, Any]:
    line = {
        "step": step,
        "loss": 1 / step,
        "psnr": 10 + step / 10,
        "gaussians": 5000 + step,
        "seconds": step / 10,
    }
    return line | ({"test_psnr": 9 + step / 10} if step % 20 == 0 else {})
