"""A camera's pose from points of known place in its picture (PnP in RANSAC)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pycolmap

from firstlight.poses._lens import Floats
from firstlight.scene import Cameras

MAX_ERROR = 4.0  # pixels, of a point that counts as seen


class Resected(NamedTuple):
    """A pose and what speaks for it."""

    viewmat: Floats  # [4, 4] world → camera
    inliers: npt.NDArray[np.bool_]  # [M] of the points that were given


def resect(
    pixels: Floats,
    xyz: Floats,
    camera: Cameras,
    *,
    fewest: int = 12,
    max_error: float = MAX_ERROR,
    seed: int = 0,
) -> Resected | None:
    """Where the one ``camera`` stands that sees points ``xyz`` [M, 3] at ``pixels`` [M, 2].

    Its lens is taken as it is, distortion included, and its pose is not looked at. None when fewer than
    ``fewest`` points agree on a pose within ``max_error`` pixels, as a pinhole of the same focal length would
    show them. ValueError for lenses that are neither pinhole nor fisheye.
    """
    K = camera.Ks[0].double().numpy()
    bent = np.zeros(8) if camera.distortion is None else camera.distortion[0].double().numpy()
    if camera.model not in ("pinhole", "fisheye"):
        raise ValueError(f"poses are found for pinhole and fisheye cameras, not for {camera.model} ones")
    if len(pixels) < fewest:
        return None
    if camera.model == "fisheye":
        straight = cv2.fisheye.undistortPoints(pixels[:, None], K, bent[:4], P=K)[:, 0]
    else:
        straight = cv2.undistortPoints(pixels[:, None], K, bent, P=K)[:, 0]
    pinhole = pycolmap.Camera(
        model="PINHOLE",
        width=int(camera.width[0]),
        height=int(camera.height[0]),
        params=[K[0, 0], K[1, 1], K[0, 2], K[1, 2]],
    )
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = max_error
    options.ransac.random_seed = seed
    answer = pycolmap.estimate_and_refine_absolute_pose(straight, xyz, pinhole, options)
    if answer is None or int(answer["inlier_mask"].sum()) < fewest:
        return None
    viewmat = np.vstack([answer["cam_from_world"].matrix(), [0, 0, 0, 1]])
    return Resected(viewmat, np.asarray(answer["inlier_mask"], bool))
