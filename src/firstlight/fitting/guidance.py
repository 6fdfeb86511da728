"""What the start, still untouched, shows where nobody took a photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting._warping import SOLID
from firstlight.fitting.terms import View
from firstlight.fitting.virtual_cameras import VirtualCameras


@dataclass(frozen=True)
class StartGuidance:
    """weight · L1 between the scene and its start, from a random virtual camera.

    The point-render guidance of LM-Gaussian (Yu et al. 2024): points of the dense start, opaque and as wide
    as the gaps between them, are drawn from elsewhere, and the scene must look alike where they cover it.
    Ends at ``until`` of the steps: points are coarser than what photos show in the end. Only for starts
    whose Gaussians lie on surfaces; each step draws two more pictures. No photo's exposure is in either.
    """

    weight: float = 0.6
    until: float = 0.4
    cameras: VirtualCameras = field(default_factory=VirtualCameras)
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        if view.fraction >= self.until or view.begun is None or view.training is None:
            return view.alpha.new_zeros(())
        camera = self.cameras.draw(view.camera, view.training, view.generator)
        with torch.no_grad():
            points = view.begun(camera)
        covered = points.alpha > SOLID
        if not covered.any():
            return view.alpha.new_zeros(())
        return self.weight * (view.look(camera, exposed=False).rgb - points.rgb)[covered].abs().mean()
