"""From directions to pixels, through the lenses of `Cameras` (OpenCV's rational and fisheye models)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firstlight.scene import CameraModel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lens:
    """One camera's lens, hashable: photos through the same lens share what is computed for it."""

    model: CameraModel  # "pinhole" or "fisheye"
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...]  # 8, as in Cameras
    width: int
    height: int

    @property
    def size(self) -> Floats:
        return np.array([self.width, self.height], np.float64)

    def project(self, x: Floats, y: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Directions (x, y, 1) [N] → pixels [N, 2], and whether the lens can see there [N].

        Polynomials fold back beyond some angle: what they say there is not an image of anything.
        """
        r = np.hypot(x, y)
        if self.model == "fisheye":
            theta = np.arctan(r)
            scale = self._bent(theta) / np.maximum(r, 1e-12)
            scale = np.where(r < 1e-9, 1.0, scale)
            u, v = x * scale, y * scale
            seen = theta <= self._limit(np.pi / 2)
        else:
            p1, p2 = self.distortion[2:4]
            radial = self._radial(r)
            u = x * radial + 2 * p1 * x * y + p2 * (r * r + 2 * x * x)
            v = y * radial + p1 * (r * r + 2 * y * y) + 2 * p2 * x * y
            seen = r <= self._limit(10.0)
        return np.stack([self.fx * u + self.cx, self.fy * v + self.cy], -1), seen

    def _radial(self, r: Floats) -> Floats:
        k1, k2, _, _, k3, k4, k5, k6 = self.distortion
        r2 = r * r
        return np.asarray((1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6))))

    def _bent(self, angle: Floats) -> Floats:
        """Distance from the middle, in focal lengths, at which a fisheye shows ``angle``."""
        k1, k2, k3, k4 = self.distortion[:4]
        a2 = angle * angle
        return np.asarray(angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))))

    def _limit(self, largest: float) -> float:
        """Up to where distances from the middle grow with the angle (fisheye) or its tangent (pinhole)."""
        steps = np.linspace(0, largest, 4001)
        distance = self._bent(steps) if self.model == "fisheye" else steps * self._radial(steps)
        folded = np.flatnonzero(np.diff(distance) <= 0)
        return float(steps[folded[0]]) if len(folded) else largest
