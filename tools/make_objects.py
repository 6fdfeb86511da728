"""Make the pictures of ``claims/sgpose.py``: path-trace two objects of the demo's still life, alone.

Development only, like ``make_demo.py``, whose renderer this uses:

    python tools/make_objects.py

writes claims/objects/<object>/{train,query}_NN.webp, with the object's outline in alpha, and cameras.json.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import cv2
import numpy as np
from demo_scene.objects import MIDDLES
from make_demo import FOCAL, HEIGHT, WIDTH, K, Tracer, denoise, develop, look_at, stand
from PIL import Image

TRAIN, QUERIES = 10, 20
SHRINK = 1.5  # traced at the demo's size, stored smaller
DISTANCE = 0.78  # metres
HERE = Path(__file__).resolve().parent


def train_poses(middle: np.ndarray) -> np.ndarray:
    """Ten views once around the object, at three heights in turn."""
    rng = np.random.default_rng(10)
    poses = []
    for index in range(TRAIN):
        target = middle + rng.normal(0, 0.008, 3)
        azimuth, elevation = 36 * index + rng.normal(0, 3), (18, 36, 54)[index % 3] + rng.normal(0, 2)
        centre = target + stand(azimuth, elevation, DISTANCE * rng.uniform(0.95, 1.05))
        poses.append(look_at(centre, target, rng.normal(0, 2)))
    return np.stack(poses)


def query_poses(middle: np.ndarray) -> np.ndarray:
    """Views from anywhere above the object, nearer and farther than those trained on, turned, off centre."""
    rng = np.random.default_rng(20)
    poses = []
    for _ in range(QUERIES):
        target = middle + rng.normal(0, 0.02, 3)
        centre = target + stand(rng.uniform(0, 360), rng.uniform(14, 60), DISTANCE * rng.uniform(0.85, 1.35))
        poses.append(look_at(centre, target, rng.normal(0, 15)))
    return np.stack(poses)


def picture(tracer: Tracer, viewmat: np.ndarray, seed: int, passes: int) -> np.ndarray:
    """The developed view with its outline [h, w, 4] uint8."""
    seen = np.stack([tracer.radiance(viewmat, seed=1000 * turn + seed) for turn in range(passes)])
    outline = np.where(np.isfinite(tracer.depth(viewmat, 1)), 255, 0).astype(np.uint8)
    rgba = np.dstack([develop(denoise(seen)), outline])
    size = round(WIDTH / SHRINK), round(HEIGHT / SHRINK)
    return np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8)


def webp(rgba: np.ndarray, quality: int) -> bytes:
    """With colour only around the object: its neighbours in the sky are not worth their bytes."""
    near = cv2.dilate(rgba[..., 3], np.ones((5, 5), np.uint8)) > 0
    stream = io.BytesIO()
    Image.fromarray(np.where(near[..., None], rgba, 0)).save(stream, "WEBP", quality=quality, method=6)
    return stream.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE.parent / "claims/objects")
    parser.add_argument("--passes", type=int, default=4, help="of 4 samples a pixel; even, 2 or more")
    parser.add_argument("--quality", type=int, default=80, help="of the WebP files")
    options = parser.parse_args()
    for name, middle in MIDDLES.items():
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        tracer = Tracer(name)
        views = {"train": train_poses(middle), "query": query_poses(middle)}
        cameras: dict[str, object] = {"K": (np.diag([1 / SHRINK, 1 / SHRINK, 1]) @ K).tolist()}
        for kind, poses in views.items():
            names = [f"{kind}_{index:02d}.webp" for index in range(len(poses))]
            for index, (file, viewmat) in enumerate(zip(names, poses, strict=True)):
                rgba = picture(tracer, viewmat, 100 * (kind == "query") + index, options.passes)
                (folder / file).write_bytes(webp(rgba, options.quality))
            cameras[kind] = [
                {"name": file, "viewmat": np.round(viewmat, 7).tolist()}
                for file, viewmat in zip(names, poses, strict=True)
            ]
        (folder / "cameras.json").write_text(json.dumps(cameras) + "\n")
    total = sum(file.stat().st_size for file in options.out.rglob("*.*"))
    print(f"{total} bytes in all; focal {FOCAL / SHRINK:.1f} px")


if __name__ == "__main__":
    main()
