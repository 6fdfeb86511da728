"""The scene itself: a set of anisotropic Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from firstlight.scene.rotation import quat_multiply, quat_to_rotmat, rotmat_to_quat
from firstlight.scene.sh import rgb_to_sh, rotate_sh, sh_count, sh_degree, sh_to_rgb
from firstlight.scene.similarity import Similarity


@dataclass(eq=False)
class Gaussians:
    """N Gaussians as raw, optimisable tensors (Kerbl et al. 2023); properties give the activated values."""

    means: Tensor  # [N, 3] scene units
    quats: Tensor  # [N, 4] w first, any length
    log_scales: Tensor  # [N, 3] natural log of the standard deviations
    logit_opacities: Tensor  # [N]
    sh: Tensor  # [N, K, 3] K = (degree + 1)²

    def __post_init__(self) -> None:
        n = len(self.means)
        for name, shape in (
            ("means", (n, 3)),
            ("quats", (n, 4)),
            ("log_scales", (n, 3)),
            ("logit_opacities", (n,)),
        ):
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name}: expected {list(shape)}, got {list(found)}")
        if self.sh.ndim != 3 or self.sh.shape[0] != n or self.sh.shape[2] != 3:
            raise ValueError(f"sh: expected [{n}, K, 3], got {list(self.sh.shape)}")
        sh_degree(self.sh.shape[1])

    @staticmethod
    def isotropic(
        means: Tensor, rgb: Tensor, scales: Tensor, opacity: float = 0.1, degree: int = 0
    ) -> Gaussians:
        """Round Gaussians at ``means`` [N, 3]; colours ``rgb`` [N, 3] in [0, 1], ``scales`` [N] > 0."""
        n = len(means)
        sh = means.new_zeros(n, sh_count(degree), 3)
        sh[:, 0] = rgb_to_sh(rgb)
        return Gaussians(
            means=means,
            quats=means.new_tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
            log_scales=scales.log()[:, None].repeat(1, 3),
            logit_opacities=means.new_full((n,), math.log(opacity / (1 - opacity))),
            sh=sh,
        )

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        return sh_degree(self.sh.shape[1])

    @property
    def scales(self) -> Tensor:
        """Standard deviations [N, 3], scene units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """Opacities [N] in (0, 1)."""
        return self.logit_opacities.sigmoid()

    @property
    def rgb(self) -> Tensor:
        """View-independent part of the colour [N, 3], not clamped."""
        return sh_to_rgb(self.sh[:, 0])

    @property
    def covariances(self) -> Tensor:
        """Covariance matrices [N, 3, 3]."""
        m = quat_to_rotmat(self.quats) * self.scales[:, None, :]
        return m @ m.mT

    @property
    def importance(self) -> Tensor:
        """How much of a picture each can cover [N], scene units²: opacity times its largest outline.

        The outline goes with the two greater standard deviations; a volume would call flat ones nothing.
        """
        longest, middle = self.log_scales.topk(2, dim=1).values.unbind(1)
        return self.opacities * (longest + middle).exp()

    def tensors(self) -> dict[str, Tensor]:
        """Name → tensor, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors().values())

    def select(self, index: Tensor) -> Gaussians:
        """Those at ``index`` (integers, or a mask [N])."""
        return Gaussians(*(tensor[index] for tensor in self))

    def append(self, other: Gaussians) -> Gaussians:
        """These, then ``other``; the lower degree is padded with zeros."""
        return Gaussians.merge([self, other])

    @staticmethod
    def merge(scenes: Sequence[Gaussians]) -> Gaussians:
        """All of one or more scenes, in this order; lower degrees are padded with zeros."""
        if len(scenes) == 1:
            return scenes[0]
        degree = max(scene.degree for scene in scenes)
        padded = [scene.with_degree(degree) for scene in scenes]
        return Gaussians(*(torch.cat(parts) for parts in zip(*padded, strict=True)))

    def with_degree(self, degree: int) -> Gaussians:
        """The same with spherical harmonics cut, or padded with zeros, to ``degree``."""
        if degree == self.degree:
            return self
        count = sh_count(degree)
        missing = max(count - self.sh.shape[1], 0)
        sh = torch.cat([self.sh[:, :count], self.sh.new_zeros(len(self), missing, 3)], 1)
        return Gaussians(self.means, self.quats, self.log_scales, self.logit_opacities, sh)

    def transform(self, similarity: Similarity) -> Gaussians:
        """Moved, turned (colours too) and scaled."""
        turn = rotmat_to_quat(similarity.rotation).to(self.quats)
        return Gaussians(
            means=similarity.apply(self.means),
            quats=quat_multiply(turn.expand_as(self.quats), self.quats),
            log_scales=self.log_scales + math.log(similarity.scale),
            logit_opacities=self.logit_opacities,
            sh=rotate_sh(self.sh, similarity.rotation),
        )

    def detach(self) -> Gaussians:
        return Gaussians(*(tensor.detach() for tensor in self))

    def clone(self) -> Gaussians:
        return Gaussians(*(tensor.detach().clone() for tensor in self))

    def to(self, dtype: torch.dtype) -> Gaussians:
        return Gaussians(*(tensor.to(dtype) for tensor in self))

    def finite(self) -> Tensor:
        """Mask [N] of those without NaN or infinity."""
        flat = [tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in self]
        # The extremes carry NaN and both infinities, and cost a fourth of looking at each number.
        return torch.stack([rows.amax(1).isfinite() & rows.amin(1).isfinite() for rows in flat]).all(0)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write to ``path``; the ending chooses the format, ``options`` are those of its writer."""
        from firstlight.files import save_gaussians  # the one look upwards: see ARCHITECTURE, 'Layers'

        save_gaussians(self, Path(path), **options)

    @staticmethod
    def load(path: str | Path) -> Gaussians:
        """Read from ``path``; InputError when it cannot be used."""
        from firstlight.files import load_gaussians

        return load_gaussians(Path(path))
