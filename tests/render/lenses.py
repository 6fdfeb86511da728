"""Distorted lenses and moving cameras for the rasteriser's tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from firstlight.render import (
    FThetaCameraDistortionParameters,
    FThetaPolynomialType,
    RollingShutterType,
    twins,
)

RADIAL = (0.1, -0.05, 0.01, 0.02, 0.01, 0.003)
TANGENTIAL = (0.01, -0.02)
THIN_PRISM = (0.01, 0.004, -0.01, 0.002)
FISHEYE = (0.05, -0.02, 0.004, 0.001)
SHUTTERS = tuple(RollingShutterType)[:4]
LENSES = ("pinhole", "opencv", "fisheye", "ftheta", "ftheta inverse")


def ftheta(focal: float, reference: FThetaPolynomialType) -> FThetaCameraDistortionParameters:
    """Two polynomials that are each other's inverse to about a thousandth."""
    forward = (0.0, focal, 0.0, -0.03 * focal, 0.0, 0.002 * focal)
    backward = (0.0, 1 / focal, 0.0, 0.03 / focal**3, 0.0, 0.0007 / focal**5)
    return FThetaCameraDistortionParameters(reference, backward, forward, 1.4, (1.02, 0.01, -0.02))


def lens(name: str, cameras: int, focal: float = 60.0) -> dict[str, Any]:
    """Arguments of gsplat's calls."""
    if name == "opencv":
        return {
            "radial_coeffs": torch.tensor(RADIAL).repeat(cameras, 1),
            "tangential_coeffs": torch.tensor(TANGENTIAL).repeat(cameras, 1),
            "thin_prism_coeffs": torch.tensor(THIN_PRISM).repeat(cameras, 1),
        }
    if name == "fisheye":
        return {"camera_model": "fisheye", "radial_coeffs": torch.tensor(FISHEYE).repeat(cameras, 1)}
    if name.startswith("ftheta"):
        kind = "PIXELDIST_TO_ANGLE" if "inverse" in name else "ANGLE_TO_PIXELDIST"
        return {"camera_model": "ftheta", "ftheta_coeffs": ftheta(focal, FThetaPolynomialType[kind])}
    return {}


def moved(viewmats: Tensor) -> Tensor:
    """Cameras that have turned and moved a little."""
    c, s = 0.9992, 0.04
    turn = torch.tensor([[c, 0, s, 0.15], [0, 1, 0, -0.1], [-s, 0, c, 0.05], [0, 0, 0, 1]])
    turn[:3, :3] = torch.linalg.qr(turn[:3, :3]).Q
    turn[:3, :3] *= torch.sign(torch.diagonal(turn[:3, :3]))
    return turn @ viewmats


def sensor(
    viewmats: Tensor, Ks: Tensor, width: int, height: int, options: dict[str, Any], camera: int = 0
) -> twins.Sensor:
    """The twin's idea of one of the cameras, in double precision."""

    def own(name: str) -> Tensor | None:
        value = options.get(name)
        return None if value is None else value[camera].double()

    return twins.Sensor(
        viewmats[camera].detach().double(),
        Ks[camera].double(),
        width,
        height,
        options.get("camera_model", "pinhole"),
        own("radial_coeffs"),
        own("tangential_coeffs"),
        own("thin_prism_coeffs"),
        options.get("ftheta_coeffs"),
        options.get("rolling_shutter", RollingShutterType.GLOBAL),
        own("viewmats_rs"),
    )
