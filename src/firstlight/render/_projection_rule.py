"""How gradients pass through projection."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from firstlight.render import _projection_kernels as kernels
from firstlight.render._arrays import NO_FLOATS, view, workers


class Lens(NamedTuple):
    """What projection needs to know and no gradient flows to."""

    width: int
    height: int
    eps2d: float
    near_plane: float
    far_plane: float
    radius_clip: float
    compensate: bool


class Project(torch.autograd.Function):
    """means [N, 3], quats, scales, viewmats [C, 4, 4] → radii, means2d, depths, conics, compensations."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        opacities: Tensor | None,
        lens: Lens,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        count, images = len(means), len(viewmats)
        radii = torch.empty(images, count, 2, dtype=torch.int32)
        means2d, conics = torch.empty(images, count, 2), torch.empty(images, count, 3)
        depths = torch.empty(images, count)
        compensations = torch.empty((images, count) if lens.compensate else (0, 0))
        kernels.project(
            view(means, -1, 3),
            view(quats, -1, 4),
            view(scales, -1, 3),
            NO_FLOATS if opacities is None else view(opacities, -1),
            view(viewmats, -1, 4, 4),
            view(Ks, -1, 3, 3),
            lens.width,
            lens.height,
            float(lens.eps2d),
            float(lens.near_plane),
            float(lens.far_plane),
            float(lens.radius_clip),
            radii.numpy(),
            means2d.numpy(),
            depths.numpy(),
            conics.numpy(),
            compensations.numpy(),
            workers(),
        )
        ctx.save_for_backward(means, quats, scales, viewmats, Ks, radii, conics, compensations)
        ctx.mark_non_differentiable(radii)
        ctx.lens = lens
        return radii, means2d, depths, conics, compensations

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, _: Tensor, v_means2d: Tensor, v_depths: Tensor, v_conics: Tensor, v_compensations: Tensor
    ) -> tuple[Tensor | None, ...]:
        means, quats, scales, viewmats, Ks, radii, conics, compensations = ctx.saved_tensors
        lens: Lens = ctx.lens
        count, images = len(means), len(viewmats)
        v_means, v_quats, v_scales = torch.empty(count, 3), torch.empty(count, 4), torch.empty(count, 3)
        v_camera = np.empty((workers(), images, 12))
        kernels.project_backward(
            view(means, -1, 3),
            view(quats, -1, 4),
            view(scales, -1, 3),
            view(viewmats, -1, 4, 4),
            view(Ks, -1, 3, 3),
            lens.width,
            lens.height,
            float(lens.eps2d),
            radii.numpy(),
            conics.numpy(),
            compensations.numpy(),
            view(v_means2d, images, count, 2),
            view(v_depths, images, count),
            view(v_conics, images, count, 3),
            view(v_compensations, *compensations.shape),
            v_means.numpy(),
            v_quats.numpy(),
            v_scales.numpy(),
            v_camera,
        )
        v_viewmats = None
        if ctx.needs_input_grad[3]:
            sums = torch.from_numpy(v_camera.sum(0)).to(viewmats.dtype)
            v_viewmats = torch.zeros_like(viewmats)
            v_viewmats[:, :3, :3] = sums[:, :9].view(-1, 3, 3)
            v_viewmats[:, :3, 3] = sums[:, 9:]
        return v_means, v_quats, v_scales, v_viewmats, None, None, None
