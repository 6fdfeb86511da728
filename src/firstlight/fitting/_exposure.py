"""Exposure compensation: what a camera did to the colours of each photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.fitting import _exposure_kernel as kernel

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


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
        self._first = torch.zeros(photos, 3, 4)
        self._second = torch.zeros(photos, 3, 4)
        self._steps = torch.zeros(photos, dtype=torch.int64)

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
        if not gradient.isfinite().all():
            return
        self._steps[photo] += 1
        t = int(self._steps[photo])
        first = self._first[photo].mul_(BETA1).add_(gradient, alpha=1 - BETA1)
        second = self._second[photo].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        scale = (second / (1 - BETA2**t)).sqrt_().add_(EPSILON)
        self.matrices[photo].addcdiv_(first, scale, value=-rate / (1 - BETA1**t))
        self._centre()

    def _centre(self) -> None:
        stepped = self._steps > 0
        self.matrices[stepped] -= self.matrices[stepped].mean(0) - torch.eye(3, 4)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name; not copied."""
        return {
            "matrices": self.matrices.detach(),
            "first": self._first,
            "second": self._second,
            "steps": self._steps,
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of ``state``. ValueError when it is of another number of photos."""
        for name, tensor in self.state().items():
            if name not in state or state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
                raise ValueError(f"the state's {name} does not fit {list(tensor.shape)} {tensor.dtype}")
            tensor.copy_(state[name])


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
