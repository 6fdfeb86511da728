"""Make the built-in demo capture: path-trace the still life of ``demo_scene`` and check what came out.

Development only. Needs Mitsuba 3 with its LLVM variant (``DRJIT_LIBLLVM_PATH`` names an LLVM of 16 or later):

    python tools/make_demo.py

writes src/firstlight/capture/demo/{photos,path}/*.webp, depth/*.png and cameras.json. The passes
of the renderer are kept in ``--work``; a second run adds what is missing there. Same seeds, same pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT, FOCAL = 480, 360, 500.0
DEPTH_STEP = 2  # depth maps have one sample for each DEPTH_STEP x DEPTH_STEP pixels
INVERSE_DEPTH_LEVELS = 2400  # a stored v means a depth of LEVELS / v metres: to 0.1 % at 4 m
PASS_SAMPLES = 4  # a pixel
EXPOSURE = 1.5
PHOTO_BYTES, TOTAL_BYTES = 1_020_000, 1_480_000
HERE = Path(__file__).resolve().parent
K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])


def look_at(centre: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """World -> camera [4, 4], OpenCV axes; `roll` in degrees about the optical axis."""
    forward = (target - centre) / np.linalg.norm(target - centre)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.stack([right, down, forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ centre
    return viewmat


def stand(azimuth: float, elevation: float, radius: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    return radius * np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])


def photo_poses() -> np.ndarray:
    """24 views on an arc of 132 degrees, at three heights in turn, held by a slightly unsteady hand."""
    rng = np.random.default_rng(24)
    poses = []
    for index, azimuth in enumerate(np.linspace(-66, 66, 24)):
        target = np.array([0.02, 0.0, 0.10]) + rng.normal(0, 0.02, 3)
        centre = target + stand(
            azimuth, (15, 31, 47)[index % 3] + rng.normal(0, 1.5), rng.uniform(1.42, 1.66)
        )
        poses.append(look_at(centre, target, rng.normal(0, 1.5)))
    return np.stack(poses)


def path_poses() -> np.ndarray:
    """8 views on a smooth walk between the photos."""
    poses = []
    for share in np.linspace(0, 1, 8):
        target = np.array([0.02, 0.0, 0.10])
        centre = target + stand(-52 + 104 * share, 30 + 9 * np.sin(2 * np.pi * share), 1.52)
        poses.append(look_at(centre, target, 0))
    return np.stack(poses)


class Tracer:
    """Mitsuba, its scene (the still life, or one of its objects), and the two questions asked of it."""

    def __init__(self, thing: str | None = None) -> None:
        import mitsuba as mi

        mi.set_variant("llvm_ad_rgb")
        from demo_scene.objects import build_object
        from demo_scene.scene import build

        self.mi, self.scene = mi, build() if thing is None else build_object(thing)

    def radiance(self, viewmat: np.ndarray, seed: int) -> np.ndarray:
        """One pass [H, W, 9]: radiance, albedo and shading normal."""
        mi = self.mi
        to_world = np.linalg.inv(viewmat) @ np.diag(
            [-1.0, -1.0, 1.0, 1.0]
        )  # Mitsuba looks along z with x left
        film = {
            "type": "hdrfilm",
            "width": WIDTH,
            "height": HEIGHT,
            "pixel_format": "rgb",
            "rfilter": {"type": "box"},
        }
        sampler = {"type": "multijitter", "sample_count": PASS_SAMPLES}
        angle = np.degrees(2 * np.arctan(WIDTH / 2 / FOCAL)).item()
        sensor = mi.load_dict(
            {"type": "perspective", "fov_axis": "x", "fov": angle,
             "to_world": mi.ScalarTransform4f(to_world), "near_clip": 0.05, "film": film, "sampler": sampler}
        )  # fmt: skip
        path = {"type": "path", "max_depth": 5}
        tracer = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "image": path})
        seen = mi.render(self.scene, sensor=sensor, integrator=tracer, spp=PASS_SAMPLES, seed=seed)
        return np.array(seen, dtype=np.float32)

    def depth(self, viewmat: np.ndarray, step: int) -> np.ndarray:
        """Exact z-depth [H / step, W / step] along the rays through the centres of step x step pixels."""
        mi = self.mi
        down, across = np.mgrid[0 : HEIGHT // step, 0 : WIDTH // step] + 0.5
        rays = np.stack(
            [(across * step - K[0, 2]) / FOCAL, (down * step - K[1, 2]) / FOCAL, np.ones(down.shape)], -1
        )
        length = np.linalg.norm(rays, axis=-1)
        to_world = np.linalg.inv(viewmat)
        directions = (rays / length[..., None]).reshape(-1, 3) @ to_world[:3, :3].T
        origin = mi.Point3f(*(float(v) for v in to_world[:3, 3]))
        ray = mi.Ray3f(origin, mi.Vector3f(np.ascontiguousarray(directions.T, np.float32)))
        found = self.scene.ray_intersect_preliminary(ray)
        distance = np.where(np.array(found.is_valid()), np.array(found.t), np.inf)
        return np.asarray(distance.reshape(length.shape) / length)


def denoise(passes: np.ndarray) -> np.ndarray:
    """Radiance [H, W, 3] from noisy passes: dual-buffer non-local means (Rousselle et al. 2012).

    What is filtered is radiance over albedo, so that textures are not; each half of the samples is averaged
    with weights found in the other half, so that noise does not choose its own neighbours.
    """
    colour, albedo, normal = (np.asarray(passes[..., k : k + 3], np.float32) for k in (0, 3, 6))
    albedo, normal = albedo.mean(0) + 0.01, normal.mean(0)
    half = [colour[0::2].mean(0) / albedo, colour[1::2].mean(0) / albedo]
    usual = cv2.medianBlur(np.minimum(*half), 5)
    half = [np.minimum(h, 6 * usual + 0.2) for h in half]  # stray paths of very high energy
    variance = cv2.blur((half[0] - half[1]) ** 2 / 2, (7, 7))  # of one half
    total = [np.zeros_like(albedo), np.zeros_like(albedo)]
    weights = [np.zeros(albedo.shape[:2], np.float32), np.zeros(albedo.shape[:2], np.float32)]
    guide = np.concatenate([normal * 5, albedo * 4], -1)
    reach = 6
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            surface = ((_shift(guide, dy, dx) - guide) ** 2).sum(-1)
            there = _shift(variance, dy, dx)
            for k in (0, 1):
                gap = (_shift(half[k], dy, dx) - half[k]) ** 2 - (variance + np.minimum(variance, there))
                patch = cv2.blur((gap / (1e-6 + 0.36 * (variance + there))).mean(-1), (5, 5))
                weight = np.exp(-np.maximum(patch, 0) - surface)
                total[1 - k] += weight[..., None] * _shift(half[1 - k], dy, dx)
                weights[1 - k] += weight
    clean = sum(t / w[..., None] for t, w in zip(total, weights, strict=True)) / 2
    return np.asarray(clean * albedo)


def _shift(picture: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """picture at (y + dy, x + dx), edges repeated."""
    move = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    channels = [
        cv2.warpAffine(
            picture[..., k : k + 3], move, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        for k in range(0, picture.shape[2], 3)
    ]
    return np.concatenate(channels, -1)


def develop(radiance: np.ndarray) -> np.ndarray:
    """Radiance -> sRGB uint8: linear up to 0.6, then a shoulder that saves the highlights."""
    light = radiance * EXPOSURE
    light = np.where(light < 0.6, light, 0.6 + 0.4 * (1 - np.exp(-(light - 0.6) / 0.4)))
    srgb = np.where(light < 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-8) ** (1 / 2.4) - 0.055)
    return np.round(np.clip(srgb, 0, 1) * 255).astype(np.uint8)


def webp(picture: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=6)
    return stream.getvalue()


def png16(depth: np.ndarray) -> bytes:
    """Inverse depth, because planes are linear in it; 0 where there is nothing."""
    levels = np.round(np.where(np.isfinite(depth), INVERSE_DEPTH_LEVELS / depth, 0)).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def render_all(work: Path, passes: int) -> tuple[list[np.ndarray], list[bytes]]:
    """Developed pictures (photos, then path) and the photos' depth files."""
    poses = np.concatenate([photo_poses(), path_poses()])
    tracer, started = Tracer(), time.perf_counter()
    for turn in range(passes):
        for index, viewmat in enumerate(poses):
            kept = work / f"pass_{turn:02d}_view_{index:02d}.npy"
            if not kept.exists():
                np.save(kept, tracer.radiance(viewmat, seed=1000 * turn + index).astype(np.float16))
        print(f"pass {turn + 1} of {passes}: {time.perf_counter() - started:.0f} s", flush=True)
    pictures = []
    for index in range(len(poses)):
        seen = [
            np.load(work / f"pass_{turn:02d}_view_{index:02d}.npy").astype(np.float32)
            for turn in range(passes)
        ]
        pictures.append(develop(denoise(np.stack(seen))))
    return pictures, [png16(tracer.depth(viewmat, DEPTH_STEP)) for viewmat in photo_poses()]


def write(out: Path, pictures: list[np.ndarray], depths: list[bytes]) -> None:
    """All files of the capture, at the highest WebP quality that fits."""
    for quality in range(95, 40, -1):
        files = [webp(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= min(PHOTO_BYTES, TOTAL_BYTES - sum(map(len, depths))):
            break
    poses = {"photos": photo_poses(), "path": path_poses()}
    cameras: dict[str, object] = {"width": WIDTH, "height": HEIGHT, "K": K.tolist()}
    cameras["depth"] = {"step": DEPTH_STEP, "inverse_depth_levels": INVERSE_DEPTH_LEVELS}
    for folder, viewmats in poses.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        names = [f"{'view' if folder == 'photos' else 'path'}_{k:02d}.webp" for k in range(len(viewmats))]
        for name in names:
            (out / folder / name).write_bytes(files.pop(0))
        cameras[folder] = [{"name": n, "viewmat": v.tolist()} for n, v in zip(names, viewmats, strict=True)]
    (out / "depth").mkdir(exist_ok=True)
    for k, data in enumerate(depths):
        (out / "depth" / f"view_{k:02d}.png").write_bytes(data)
    (out / "cameras.json").write_text(json.dumps(cameras, indent=1) + "\n")
    total = sum(f.stat().st_size for f in out.rglob("*.*"))
    print(f"WebP quality {quality}, depth {sum(map(len, depths))} bytes, {total} bytes in all")


def check(out: Path) -> None:
    """Structure from motion must find every camera, and where it is; AssertionError if not."""
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR
    with tempfile.TemporaryDirectory() as folder:
        database, pictures = Path(folder) / "database.db", Path(folder) / "pictures"
        pictures.mkdir()
        for photo in (out / "photos").iterdir():  # COLMAP does not read WebP
            Image.open(photo).save(pictures / f"{photo.stem}.png")
        pycolmap.set_random_seed(0)
        pycolmap.extract_features(database, pictures, camera_mode=pycolmap.CameraMode.SINGLE)
        pycolmap.match_exhaustive(database)
        models = pycolmap.incremental_mapping(database, pictures, folder)
    model = max(models.values(), key=lambda m: m.num_reg_images())
    placed = sorted(
        (int(i.name[5:7]), i.cam_from_world().matrix()) for i in model.images.values() if i.has_pose
    )
    exact = photo_poses()[[index for index, _ in placed]]
    found = np.stack([matrix for _, matrix in placed])
    turns, shifts = compare_poses(found, exact)
    focal = next(iter(model.cameras.values())).mean_focal_length()
    print(
        f"{len(models)} model(s), {len(placed)} photos placed, {model.num_points3D()} points\n"
        f"reprojection {model.compute_mean_reprojection_error():.2f} px, focal {focal:.1f} of {FOCAL}\n"
        f"rotation error {turns.mean():.3f} deg mean, {turns.max():.3f} max\n"
        f"centre error {1000 * shifts.mean():.1f} mm mean, {1000 * shifts.max():.1f} max"
    )
    assert len(placed) == len(photo_poses()) and turns.max() < 0.3


def compare_poses(found: np.ndarray, exact: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation errors (degrees) and centre errors (metres) after the best similarity (Umeyama 1991)."""
    centres = [-np.einsum("nji,nj->ni", m[:, :3, :3], m[:, :3, 3]) for m in (found, exact)]
    means = [c.mean(0) for c in centres]
    a, b = (c - m for c, m in zip(centres, means, strict=True))
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = u @ sign @ vt, (s * np.diag(sign)).sum() / (a**2).sum()
    shifts = np.linalg.norm(scale * a @ rotation.T - b, axis=1)
    relative = np.einsum("nij,jk,nlk->nil", found[:, :3, :3], rotation.T, exact[:, :3, :3])
    cosine = (np.trace(relative, axis1=1, axis2=2) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), shifts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE.parent / "src/firstlight/capture/demo")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build/demo", help="keeps the passes")
    parser.add_argument("--passes", type=int, default=2, help="of 4 samples a pixel; 2 or more")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    write(options.out, *render_all(options.work, options.passes))
    check(options.out)


if __name__ == "__main__":
    main()
