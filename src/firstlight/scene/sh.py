"""Real spherical harmonics as 3D Gaussian Splatting stores them, and how they turn with a scene.

The signs and the order are those of Kerbl et al. 2023 (degree 1 is −y, z, −x). Degree 0 to 4.
"""

from functools import cache
from math import isqrt

import torch
from torch import Tensor

C0 = 0.28209479177387814
MAX_DEGREE = 4


def sh_count(degree: int) -> int:
    """How many coefficients a colour channel has: (degree + 1)²."""
    return (degree + 1) * (degree + 1)


def sh_degree(count: int) -> int:
    """The degree that has ``count`` coefficients a channel; ValueError when there is none."""
    degree = isqrt(count) - 1
    if not 0 <= degree <= MAX_DEGREE or sh_count(degree) != count:
        raise ValueError(f"{count} spherical harmonics coefficients: expected 1, 4, 9, 16 or 25")
    return degree


def rgb_to_sh(rgb: Tensor) -> Tensor:
    """Colours in [0, 1] as degree-0 coefficients, same shape."""
    return (rgb - 0.5) / C0


def sh_to_rgb(dc: Tensor) -> Tensor:
    """Degree-0 coefficients as colours, same shape, not clamped."""
    return dc * C0 + 0.5


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """The basis at unit ``directions`` [..., 3] → [..., (degree + 1)²]."""
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, C0)]
    if degree >= 1:
        c = 0.4886025119029199
        basis += [-c * y, c * z, -c * x]
    if degree >= 2:
        xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
        basis += [
            1.0925484305920792 * xy,
            -1.0925484305920792 * yz,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * xz,
            0.5462742152960396 * (xx - yy),
        ]
    if degree >= 3:
        basis += [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * xy * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]
    if degree >= 4:
        basis += [
            2.5033429417967046 * xy * (xx - yy),
            -1.7701307697799304 * yz * (3 * xx - yy),
            0.9461746957575601 * xy * (7 * zz - 1),
            -0.6690465435572892 * yz * (7 * zz - 3),
            0.10578554691520431 * (zz * (35 * zz - 30) + 3),
            -0.6690465435572892 * xz * (7 * zz - 3),
            0.47308734787878004 * (xx - yy) * (7 * zz - 1),
            -1.7701307697799304 * xz * (xx - 3 * yy),
            0.6258357354491761 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
        ]
    return torch.stack(basis, -1)


@cache
def _probe(degree: int) -> tuple[Tensor, Tensor]:
    """Directions [P, 3] that determine every coefficient, and the pseudo-inverse [K, P] of their basis."""
    n = 4 * sh_count(degree)
    k = torch.arange(n, dtype=torch.float64) + 0.5
    z = 1 - 2 * k / n
    turn = torch.pi * (1 + 5**0.5) * k
    r = (1 - z * z).sqrt()
    directions = torch.stack([r * turn.cos(), r * turn.sin(), z], -1)
    return directions, torch.linalg.pinv(sh_basis(directions, degree))


def rotate_sh(sh: Tensor, rotation: Tensor) -> Tensor:
    """Coefficients [N, K, C] of a function turned by ``rotation`` [3, 3]: g(R d) = f(d).

    Each degree only mixes with itself, so the turn is one K×K matrix. It is solved for from the basis at
    fixed directions, which needs no tables and is exact to rounding for every degree.
    """
    degree = sh_degree(sh.shape[-2])
    directions, inverse = _probe(degree)
    turn = inverse @ sh_basis(directions @ rotation.double().cpu(), degree)  # [K, K]
    return torch.einsum("kj,njc->nkc", turn.to(sh), sh)
