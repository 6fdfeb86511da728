"""Exposure compensation: what a camera did to the colours of each photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.fitting import _exposure_kernel as kernel
from firstlight.fitting._row_adam import RowAdam, load


class Exposure:
    """An affine colour map for each photo, applied to what is rendered before it is compared.

    Cameras choose exposure and white balance anew for every photo. Without this the scene would take them
    for changes of colour with the direction of view (compare Kerbl et al. 2024, "Hierarchical 3D Gaussians").

    ``matrices`` [P, 3, 4] begin as the identity and are optimised by Adam, each photo with its own moments
    and count of steps. Scene and maps alone could drift together: any colour change of the scene can be
    undone by the maps of all photos. So after each step the maps of the photos that have been stepped are
    shifted such that their mean is the identity (the nearest point that fulfils this linear constraint).
    The scene itself then has the mean exposure of its photos, and a photo that was never stepped, a held-out
    one, keeps the identity.
    """

    def __init__(self, photos: int) -> None:
        self.matrices = torch.eye(3, 4).repeat(photos, 1, 1).requires_grad_()  # [P, 3, 4]
        self._adam = RowAdam(photos, 3, 4)

    def apply(self, picture: Tensor, photo: int) -> Tensor:
        """The picture [H, W, 3] float32 as the camera of ``photo`` took it; differentiable once."""
        mapped: Tensor = _Affine.apply(picture, self.matrices[photo])  # type: ignore[no-untyped-call]
        return mapped

    @torch.no_grad()
    def step(self, photo: int, rate: float) -> None:
        """Adam (Kingma and Ba 2015) on the map of ``photo``, from the gradient since the last step.

        A gradient that is not finite is dropped.
        """
        assert self.matrices.grad is not None, "apply() and backward() come before step()"
        gradient = self.matrices.grad[photo]
        self.matrices.grad = None
        direction = self._adam.step(photo, gradient)
        if direction is not None:
            self.matrices[photo] -= rate * direction
            self._centre()

    def _centre(self) -> None:
        stepped = self._adam.steps > 0
        self.matrices[stepped] -= self.matrices[stepped].mean(0) - torch.eye(3, 4)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name; not copied."""
        return {"matrices": self.matrices.detach(), **self._adam.state()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of ``state``. ValueError when it is of another number of photos."""
        load(self.state(), state)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(picture, matrix)
        out = torch.empty_like(picture, memory_format=torch.contiguous_format)
        kernel.apply(_rows(picture), matrix.contiguous().numpy(), _rows(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        picture, matrix = ctx.saved_tensors
        gradient = torch.empty_like(picture, memory_format=torch.contiguous_format)
        sums = np.empty((len(picture), 3, 4), np.float32)
        kernel.differentiate(
            _rows(picture), matrix.contiguous().numpy(), _rows(upstream), _rows(gradient), sums
        )
        return gradient, torch.from_numpy(sums.sum(0, dtype=np.float64)).to(matrix.dtype)


def _rows(picture: Tensor) -> kernel.Floats:
    """[H, W, 3] as [H, 3W]; shares the memory of a contiguous tensor."""
    height, width, _ = picture.shape
    rows: kernel.Floats = picture.detach().contiguous().numpy().reshape(height, 3 * width)
    return rows
