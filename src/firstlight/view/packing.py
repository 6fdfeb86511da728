"""Gaussians as the page takes them: few bytes, the ones that matter first.

Not a file format: page and package ship together, so the layout may change with every version
(``web/scene.js`` is its other half). Files to keep or to exchange are the room ``files``' business.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firstlight.files._blocks import to_log
from firstlight.files._order import along_z_curve
from firstlight.files._smallest_three import to_word
from firstlight.scene import Gaussians
from firstlight.view.frame import Frame

CHUNK = 32_768  # Gaussians: whole rows of every texture on the page, and the first is soon there
HIGHEST_DEGREE = 3  # of the harmonics that the page evaluates
THINNEST = 16.0  # what is e^-16 of the largest is as good as flat
SATURATED = 5e-4  # of colours and sizes: a few large ones would cost the others their precision
LARGER = 2.0  # what is more than e^2 as large as all sizes but those is shown no larger

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Packed:
    """A scene in 20 bytes a Gaussian and 3 a coefficient of its harmonics beyond the first.

    Positions are kept in 24 bits of sign(x)·log(1 + |x|), scales in 8 bits of their logarithm, rotations as
    the three smaller parts of the quaternion in 10 bits each, opacities and colours in 8 bits, harmonics in
    ``sh_bits``.
    """

    gaussians: Gaussians  # in page units and in the order of the chunks
    header: dict[str, Any]  # what decodes the chunks
    sh_bits: int

    def __len__(self) -> int:
        return len(self.gaussians)

    @property
    def chunks(self) -> int:
        return math.ceil(len(self) / CHUNK)

    def chunk(self, index: int, level: int = 1) -> bytes:
        """Gzipped planes of bytes [P, n] of up to CHUNK Gaussians; ``level`` from 1 (fast) to 9 (small)."""
        some = self.gaussians.select(torch.arange(index * CHUNK, min((index + 1) * CHUNK, len(self))))
        return gzip.compress(np.concatenate(list(self._planes(some))).tobytes(), level, mtime=0)

    def _planes(self, some: Gaussians) -> Iterator[Bytes]:
        ranges = self.header["ranges"]
        low, high = (np.array(bounds) for bounds in ranges["position"])  # [3] each
        units = (_folded(some) - low) / np.maximum(high - low, 1e-12)
        fixed = np.rint(units.clip(0, 1) * 0xFFFFFF).astype(np.uint32).T  # [3, n]
        yield from ((fixed >> shift).astype(np.uint8) for shift in (0, 8, 16))
        yield _levels(_array(some.log_scales), *ranges["log_scale"]).T
        words = to_word(_array(some.quats))
        yield np.stack([words >> shift for shift in (0, 8, 16, 24)]).astype(np.uint8)
        yield _levels(_array(some.opacities)[None], 0.0, 1.0)
        yield _levels(_array(some.sh[:, 0]), *ranges["dc"]).T
        step = 1 << (8 - self.sh_bits)
        most = 127 // step
        for degree, reach in enumerate(ranges["sh"], 1):
            band = _array(some.sh[:, degree * degree : (degree + 1) ** 2]).reshape(len(some), -1).T
            levels = np.rint(band * (127 / step / reach)).clip(-most, most) * step
            yield (levels + 128).astype(np.uint8)


def pack(gaussians: Gaussians, frame: Frame, sh_bits: int = 8) -> Packed:
    """``gaussians`` as the page of ``frame`` shows them; those with NaN or infinity are left out.

    ``sh_bits``, 3 to 8: fewer make smaller chunks. In NumPy, because its steps take one thread: a page that
    draws in software keeps every core busy, and torch's many small parallel steps then wait for each other.
    """
    scene = gaussians.with_degree(min(gaussians.degree, HIGHEST_DEGREE)).detach()
    with np.errstate(over="ignore", invalid="ignore"):
        scene.means = torch.from_numpy(frame.place(scene.means))
    scene = scene.select(scene.finite())
    scene.log_scales = scene.log_scales + math.log(frame.to_page.scale)
    scene = scene.select(torch.from_numpy(_order(scene)))
    return Packed(
        scene, {"count": len(scene), "degree": scene.degree, "chunk": CHUNK} | _ranges(scene), sh_bits
    )


def _order(scene: Gaussians) -> npt.NDArray[np.int64]:
    """What covers most first; within a chunk, neighbours together, so that it compresses."""
    two_largest = np.sort(_array(scene.log_scales), axis=1)[:, 1:].sum(1)
    weight = np.log(_array(scene.opacities) + 1e-9) + two_largest
    order = np.argsort(-weight, kind="stable")
    curve = _along_curve(_folded(scene))
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        order[start : start + CHUNK] = part[np.argsort(curve[part], kind="stable")]
    return order


def _ranges(scene: Gaussians) -> dict[str, Any]:
    if not len(scene):
        return {"ranges": {"position": [[0.0] * 3] * 2, "log_scale": [0.0, 0.0], "dc": [0.0, 0.0], "sh": []}}
    folded, log_scales, dc = _folded(scene), _array(scene.log_scales), _array(scene.sh[:, 0])
    usual = float(np.quantile(log_scales.max(1), 1 - SATURATED))
    largest = min(float(log_scales.max()), usual + LARGER)
    reaches = []
    for degree in range(1, scene.degree + 1):
        band = np.abs(_array(scene.sh[:, degree * degree : (degree + 1) ** 2]))
        reaches.append(max(float(np.quantile(band, 1 - SATURATED)), 1e-6))
    ranges = {
        "position": [folded.min(0).tolist(), folded.max(0).tolist()],
        "log_scale": [max(float(log_scales.min()), largest - THINNEST), largest],
        "dc": [float(bound) for bound in np.quantile(dc, [SATURATED, 1 - SATURATED])],
        "sh": reaches,
    }
    return {"ranges": ranges}


def _folded(scene: Gaussians) -> npt.NDArray[np.float64]:
    """Positions [n, 3] as sign(x)·log(1 + |x|): fine near what is looked at, coarse far away."""
    return to_log(_array(scene.means).astype(np.float64))


def _levels(values: Floats, low: float, high: float) -> Bytes:
    """[low, high] → 0 … 255, rounded and clamped."""
    levels: Bytes = np.rint((values - low) * (255 / max(high - low, 1e-12))).clip(0, 255).astype(np.uint8)
    return levels


def _along_curve(folded: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Where each folded position [n, 3] comes along a curve through 2^21 cells a side."""
    if len(folded) == 0:
        return np.zeros(0, np.uint64)
    low = folded.min(0)
    side = max(float((folded.max(0) - low).max()), 1e-12)
    return along_z_curve(((folded - low) / side * 0x1FFFFF).astype(np.uint64))


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().numpy().astype(np.float32, copy=False)
