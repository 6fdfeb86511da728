"""Rotations as quaternions (w first) and as matrices."""

import torch
from torch import Tensor


def quat_to_rotmat(quats: Tensor) -> Tensor:
    """Quaternions [..., 4], any length from 1e-12 up → rotation matrices [..., 3, 3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(*w.shape, 3, 3)  # fmt: skip


def proper(axes: Tensor) -> Tensor:
    """Orthonormal columns [..., 3, 3], the first of them turned round where they are a reflection."""
    signs = torch.ones_like(axes[..., 0, :])
    signs[..., 0] = torch.linalg.det(axes).sign()
    return axes * signs[..., None, :]


def rotmat_to_quat(rotations: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] → unit quaternions [..., 4] with w ≥ 0."""
    m = rotations
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four formulas, each exact; the one with the largest divisor is the stable one.
    squared = torch.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = torch.stack(
        [
            torch.stack([squared[..., 0], a, b, c], -1),
            torch.stack([a, squared[..., 1], d, e], -1),
            torch.stack([b, d, squared[..., 2], f], -1),
            torch.stack([c, e, f, squared[..., 3]], -1),
        ],
        -2,
    )
    best = squared.argmax(-1)[..., None, None].expand(*squared.shape[:-1], 1, 4)
    quat = torch.nn.functional.normalize(rows.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def quat_multiply(a: Tensor, b: Tensor) -> Tensor:
    """The turn ``b`` followed by the turn ``a``: [..., 4] × [..., 4] → [..., 4]."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )
