"""The photos as the stereo works on them: small, grey, with the matrices that lead from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from firstlight.geometry._patchmatch_kernels import Sources
from firstlight.progress import Stage
from firstlight.scene import Capture

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
NOTHING = np.zeros(1, np.float32)


@dataclass(frozen=True, eq=False)
class View:
    """One photo at one size. Coordinates count from the centre of the first pixel."""

    grey: Bytes  # [H, W]
    keep: Bytes | None  # [H, W] 0 = ignore
    K: Doubles  # [3, 3]
    viewmat: Doubles  # [4, 4] world → camera

    @property
    def shape(self) -> tuple[int, int]:
        return self.grey.shape[0], self.grey.shape[1]

    @cached_property
    def center(self) -> Doubles:
        return np.asarray(-self.viewmat[:3, :3].T @ self.viewmat[:3, 3])

    @property
    def lens(self) -> Floats:
        """fx, fy, cx, cy."""
        K = self.K
        return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32)

    def shrunk(self, times: int) -> View:
        """The same view with sides that many times shorter."""
        if times == 1:
            return self
        height, width = (max(1, round(side / times)) for side in self.shape)
        scale = np.array([width / self.shape[1], height / self.shape[0]])
        K = self.K.copy()
        K[:2] *= scale[:, None]
        K[:2, 2] += (scale - 1) / 2  # the first pixel's centre moves with its size
        grey = cv2.resize(self.grey, (width, height), interpolation=cv2.INTER_AREA)
        return View(np.asarray(grey, np.uint8), None, K, self.viewmat)

    def project(self, xyz: Doubles) -> tuple[Doubles, Doubles]:
        """Pixels [P, 2] and depths [P] of world points [P, 3]; pixels mean nothing behind the camera."""
        local = xyz @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]
        flat = local @ self.K.T
        return flat[:, :2] / np.maximum(flat[:, 2:], 1e-9), local[:, 2]

    def inside(self, pixels: Doubles, depths: Doubles) -> npt.NDArray[np.bool_]:
        """Which of the points that ``project`` gave are in the picture: [P]."""
        height, width = self.shape
        within = (pixels >= 0).all(1) & (pixels[:, 0] <= width - 1) & (pixels[:, 1] <= height - 1)
        return within & (depths > 0)


def load_views(capture: Capture, stage: Stage) -> list[View]:
    """Every photo in grey; colours are decoded again when they are needed."""
    cameras = capture.cameras
    assert cameras is not None
    Ks, viewmats = cameras.Ks.double().numpy().copy(), cameras.viewmats.double().numpy()
    Ks[:, :2, 2] -= 0.5
    views = []
    for photo, K, viewmat in zip(capture.photos, Ks, viewmats, strict=True):
        picture = photo.decode()
        grey = np.asarray(cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        views.append(View(grey, picture.mask, K, viewmat))
        stage.advance()
    return views


def between(one: View, other: View) -> tuple[Doubles, Doubles]:
    """A [3, 3] and b [3]: pixel p of inverse depth w in ``one`` lies at A·p + b·w in ``other``."""
    move = other.viewmat @ np.linalg.inv(one.viewmat)
    return other.K @ move[:3, :3] @ np.linalg.inv(one.K), other.K @ move[:3, 3]


def as_sources(reference: View, others: Sequence[View], maps: Sequence[Floats] | None = None) -> Sources:
    """The kernels' form of the views that ``reference`` is compared with, and of their inverse depths."""
    there = [between(reference, other) for other in others]
    back = [between(other, reference) for other in others]
    sizes = [other.grey.size for other in others]
    return Sources(
        A=np.array([A for A, _ in there], np.float32),
        b=np.array([b for _, b in there], np.float32),
        A_back=np.array([A for A, _ in back], np.float32),
        b_back=np.array([b for _, b in back], np.float32),
        starts=np.cumsum([0, *sizes[:-1]]).astype(np.int64),
        widths=np.array([other.shape[1] for other in others], np.int64),
        heights=np.array([other.shape[0] for other in others], np.int64),
        pictures=np.concatenate([other.grey.ravel() for other in others]).astype(np.float32),
        maps=NOTHING if maps is None else np.concatenate([one.ravel() for one in maps]),
    )


def plane_normals(w: Floats, gx: Floats, gy: Floats, view: View) -> Floats:
    """Unit normals [H, W, 3] in the camera's axes, towards it, of planes: inverse depth w and slopes."""
    rows, columns = np.mgrid[: view.shape[0], : view.shape[1]].astype(np.float32)
    fx, fy, cx, cy = view.lens.tolist()
    along = w - gx * (columns - cx) - gy * (rows - cy)
    normals = -np.stack([fx * gx, fy * gy, along], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return np.asarray(normals, np.float32)
