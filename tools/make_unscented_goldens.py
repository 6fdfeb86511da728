"""Make the golden tensors that tests hold distorted lenses to, with gsplat's own plain-torch functions.

Development only. gsplat 1.5.3 has this path in CUDA alone; its main branch has it in torch too. No CUDA:

    git clone https://github.com/nerfstudio-project/gsplat ../gsplat && git -C ../gsplat checkout 90d7b4b
    PYTHONPATH=src python tools/make_unscented_goldens.py ../gsplat

writes tests/render/goldens/unscented.npz: for each lens and shutter what the projection makes of 24 Gaussians
(in float32, which is all that it takes), the pixels' rays, and the picture (in float64) that its distance
between ray and Gaussian gives.

gsplat's wrapper of its CUDA functions cannot be imported without them. The shutters and lenses that the torch
functions take from there are firstlight's own, of the same names.
"""

from __future__ import annotations

import math
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstlight import render

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "render" / "goldens"
WIDTH, HEIGHT, COUNT = 14, 10, 24


def import_gsplat(folder: Path) -> tuple[Any, Any, Any]:
    """Its torch functions for the transform, for blending and for cameras."""
    for name in ("gsplat", "gsplat.cuda"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
    stands: dict[str, dict[str, Any]] = {
        "_wrapper": {
            "CameraModel": str,
            "SpinningDirection": object,
            "RollingShutterType": render.RollingShutterType,
            "UnscentedTransformParameters": render.UnscentedTransformParameters,
            "FThetaCameraDistortionParameters": render.FThetaCameraDistortionParameters,
            "FThetaPolynomialType": render.FThetaPolynomialType,
        },
        "_lidar": {"RowOffsetStructuredSpinningLidarModelParametersExt": object},
        "_torch_lidars": {"_RowOffsetStructuredSpinningLidarModel": object},
    }
    for name, members in stands.items():
        module = ModuleType(f"gsplat.cuda.{name}")
        vars(module).update(members)
        sys.modules[module.__name__] = module
    found = (import_module(f"gsplat.cuda._torch_{name}") for name in ("impl_ut", "impl_eval3d", "cameras"))
    return tuple(found)  # type: ignore[return-value]


def scene() -> dict[str, Tensor]:
    """Gaussians before a camera that turns and moves while it looks."""
    c, s = math.cos(0.05), math.sin(0.05)
    start = torch.tensor([[1, 0, 0, 0.1], [0, c, -s, 0], [0, s, c, 4.0], [0, 0, 0, 1]])
    turn = torch.tensor([[c, 0, s, 0.15], [0, 1, 0, -0.1], [-s, 0, c, 0.05], [0, 0, 0, 1]])
    return {
        "means": torch.randn(COUNT, 3),
        "quats": torch.randn(COUNT, 4),
        "scales": torch.exp(0.5 * torch.randn(COUNT, 3) - 1.5),
        "opacities": 0.05 + 0.4 * torch.rand(COUNT),
        "colors": torch.rand(COUNT, 3),
        "viewmats": start[None],
        "viewmats_rs": (turn @ start)[None],
        "Ks": torch.tensor([[[15.4, 0, 6.7], [0, 16.1, 5.3], [0, 0, 1]]]),
    }


def lenses() -> dict[str, dict[str, Any]]:
    """Arguments of gsplat's calls."""
    forward = (0.0, 15.0, 0.0, -0.45, 0.0, 0.03)
    backward = (0.0, 1 / 15, 0.0, 0.03 / 15**3, 0.0, 0.0007 / 15**5)
    linear, types = (1.02, 0.01, -0.02), render.FThetaPolynomialType
    kind = render.FThetaCameraDistortionParameters
    return {
        "opencv": {
            "radial_coeffs": torch.tensor([[0.1, -0.05, 0.01, 0.02, 0.01, 0.003]]),
            "tangential_coeffs": torch.tensor([[0.01, -0.02]]),
            "thin_prism_coeffs": torch.tensor([[0.01, 0.004, -0.01, 0.002]]),
        },
        "fisheye": {
            "camera_model": "fisheye",
            "radial_coeffs": torch.tensor([[0.05, -0.02, 0.004, 0.001]]),
        },
        "ftheta": {
            "camera_model": "ftheta",
            "ftheta_coeffs": kind(types.ANGLE_TO_PIXELDIST, backward, forward, 1.4, linear),
        },
        "ftheta_inverse": {
            "camera_model": "ftheta",
            "ftheta_coeffs": kind(types.PIXELDIST_TO_ANGLE, backward, forward, 1.4, linear),
        },
    }


def numbers(options: dict[str, Any]) -> dict[str, Tensor]:
    """A lens's coefficients as tensors."""
    if "ftheta_coeffs" not in options:
        return {key: value for key, value in options.items() if isinstance(value, Tensor)}
    lens = options["ftheta_coeffs"]
    names = ("pixeldist_to_angle_poly", "angle_to_pixeldist_poly", "linear_cde")
    return {name: torch.tensor(getattr(lens, name), dtype=torch.float64) for name in names}


def cast(cameras: Any, options: dict[str, Any], poses: list[Tensor], K: Tensor, shutter: Any) -> Tensor:
    """Rays [H, W, 6] and, last, whether there are any."""
    model = options.get("camera_model", "pinhole")
    rest = {key: value for key, value in options.items() if key != "camera_model"}
    focal = None if model == "ftheta" else torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)
    camera = cameras._BaseCameraModel.create(
        width=WIDTH, height=HEIGHT, camera_model=model, principal_points=K[:, :2, 2], focal_lengths=focal,
        rs_type=shutter, **rest,
    )  # fmt: skip
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    ends = [cameras._viewmat_to_pose(pose) for pose in poses]
    found = camera.image_point_to_world_ray_shutter_pose(torch.stack([x, y], -1).view(1, -1, 2), *ends)
    origins, directions, there = found
    return torch.cat([origins, directions, there[..., None].float()], -1).view(HEIGHT, WIDTH, 7)


def blend(eval3d: Any, given: dict[str, Tensor], depths: Tensor, rays: Tensor) -> Tensor:
    """Colours and alpha [H, W, 4] of all Gaussians over all rays, front to back."""
    order = depths.argsort(stable=True)
    means, scales, opacities, colors = (
        given[name][order].double() for name in ("means", "scales", "opacities", "colors")
    )
    whiten = eval3d._compute_gaussian_transform(given["quats"][order].double(), scales)
    o, d = (rays[:, :, None, i : i + 3].double().expand(-1, -1, COUNT, -1) for i in (0, 3))
    distance, _ = eval3d._compute_ray_gaussian_distance(o, d, means, whiten, scales)
    alphas, _ = eval3d._compute_gaussian_alphas(distance, opacities, 1e-4)
    alphas = torch.where(alphas >= 1 / 255, alphas, 0.0)
    through = torch.cumprod(torch.cat([torch.ones(HEIGHT, WIDTH, 1).double(), 1 - alphas], -1), -1)
    return torch.cat([(alphas * through[..., :-1]) @ colors, 1 - through[..., -1:]], -1)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    unscented, eval3d, cameras = import_gsplat(Path(sys.argv[1]))
    torch.manual_seed(153)
    given = scene()
    stored = dict(given)
    for name, options in lenses().items():
        stored |= {f"{name}/{key}": value for key, value in numbers(options).items()}
        for shutter in render.RollingShutterType:
            moving = shutter != render.RollingShutterType.GLOBAL
            if moving and name != "opencv":
                continue
            end = given["viewmats_rs"] if moving else None
            radii, means2d, depths, conics, compensations = unscented._fully_fused_projection_with_ut(
                *(given[key] for key in ("means", "quats", "scales", "opacities", "viewmats", "Ks")),
                WIDTH, HEIGHT, calc_compensations=True, rolling_shutter=shutter, viewmats_rs=end, **options,
            )  # fmt: skip
            poses = [given["viewmats"], given["viewmats"] if end is None else end]
            rays = cast(cameras, options, poses, given["Ks"], shutter)
            z = (given["means"] @ given["viewmats"][0, :3, :3].T)[:, 2]
            found = {
                "radii": radii, "means2d": means2d, "depths": depths, "conics": conics,
                "compensations": compensations, "rays": rays, "picture": blend(eval3d, given, z, rays),
            }  # fmt: skip
            stored |= {f"{name}/{shutter.name}/{key}": value for key, value in found.items()}
    arrays: dict[str, Any] = {
        key: value.numpy() if key.endswith(("poly", "radii")) else value.float().numpy()
        for key, value in stored.items()
    }
    path = GOLDENS / "unscented.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
