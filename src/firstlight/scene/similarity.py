"""Similarity transforms: what is left free when only photos are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ROUNDING = 4  # last digits of a coordinate that computing it costs: places that differ by no more are one


@dataclass(frozen=True)
class Similarity:
    """x ↦ scale · rotation · x + translation."""

    scale: float
    rotation: Tensor  # [3, 3], proper
    translation: Tensor  # [3]

    @staticmethod
    def identity() -> Similarity:
        return Similarity(1.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))

    @staticmethod
    def align(source: Tensor, target: Tensor) -> Similarity:
        """The least-squares similarity from points ``source`` [P, 3] to ``target`` [P, 3] (Umeyama 1991).

        ValueError with fewer than three points, or with points that lie in one place.
        """
        if source.shape != target.shape or source.shape[1:] != (3,) or len(source) < 3:
            raise ValueError(f"expected two [P, 3] sets with P ≥ 3, got {source.shape} and {target.shape}")
        rounding = _ROUNDING * torch.finfo(torch.promote_types(source.dtype, torch.float32)).eps
        source, target = source.double(), target.double()
        a, b = source.mean(0), target.mean(0)
        spread = (source - a).square().sum(-1).mean()
        if not spread.sqrt() > rounding * source.abs().max():
            raise ValueError("the points lie in one place: no scale can be found")
        u, s, vt = torch.linalg.svd((target - b).T @ (source - a) / len(source))
        sign = torch.ones(3, dtype=torch.float64)
        sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
        rotation = u @ sign.diag() @ vt
        scale = float((s * sign).sum() / spread)
        return Similarity(scale, rotation, b - scale * rotation @ a)

    def __matmul__(self, other: Similarity) -> Similarity:
        """First ``other``, then this one."""
        rotation, translation = self._in(other.translation)
        return Similarity(
            self.scale * other.scale,
            rotation @ other.rotation,
            self.scale * rotation @ other.translation + translation,
        )

    def inverse(self) -> Similarity:
        turn_back = self.rotation.T
        return Similarity(1 / self.scale, turn_back, -(turn_back @ self.translation) / self.scale)

    def apply(self, points: Tensor) -> Tensor:
        """Points [..., 3] → [..., 3]."""
        rotation, translation = self._in(points)
        return self.scale * points @ rotation.T + translation

    def _in(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.rotation.to(like), self.translation.to(like)
