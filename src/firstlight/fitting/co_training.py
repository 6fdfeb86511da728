"""Two sets of Gaussians that learn the same photos: where they disagree, neither is to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from firstlight.density.strategy import interval
from firstlight.fitting.model import PlainModel
from firstlight.fitting.terms import View
from firstlight.fitting.virtual_cameras import VirtualCameras
from firstlight.scene import Gaussians

_GONE = -7.0  # logit of an opacity below all that strategies keep


@dataclass(frozen=True)
class CoTraining:
    """A twin is fitted beside the scene, and what has no counterpart in the other is made transparent.

    Co-pruning of CoR-GS (Zhang et al. 2024). Unlike the paper's fixed distance, a Gaussian is far from the
    other set when its nearest there is more than ``far`` times as far as is usual: as the median of these
    distances, or of the gaps within the other set, whichever is greater. It is made transparent, so that
    density control removes or moves it in its own way, every ``every`` of the papers' 30,000 steps up to
    ``stop``. ``Accord`` is the other half of the paper. A step costs twice as much.
    """

    far: float = 10.0
    every: int = 1000
    stop: int = 24_000

    def prune(self, one: PlainModel, other: PlainModel, step: int, steps: int) -> None:
        """Let the sets judge each other, if it is time after ``step`` of ``steps``."""
        if step % interval(self.every, steps) or step * 30_000 > self.stop * steps:
            return
        lost = self.lost(one.gaussians, other.gaussians), self.lost(other.gaussians, one.gaussians)
        for model, rows in zip((one, other), lost, strict=True):
            model.assign(rows, {"logit_opacities": torch.full((len(rows),), _GONE)})

    def lost(self, gaussians: Gaussians, others: Gaussians) -> Tensor:
        """Which of ``gaussians`` are far from all of ``others`` [M]."""
        if len(others) < 2:
            return torch.zeros(0, dtype=torch.long)
        means, theirs = (one.means.detach().double().numpy() for one in (gaussians, others))
        tree = cKDTree(theirs)
        away, _ = tree.query(means)
        gaps, _ = tree.query(theirs, k=[2])
        usual = max(float(np.median(away)), float(np.median(gaps)))
        return torch.from_numpy(np.nonzero(away > self.far * usual)[0])


@dataclass(frozen=True)
class Accord:
    """weight · L1 between what the two sets show from a random virtual camera (CoR-GS's co-regularisation).

    Nothing without a twin. Two more pictures a step, of each set.
    """

    weight: float = 0.5
    start: float = 0.1  # of the steps
    cameras: VirtualCameras = field(default_factory=VirtualCameras)
    sees_depth: ClassVar[bool] = False

    def __call__(self, view: View) -> Tensor:
        if view.fraction < self.start or view.other is None or view.training is None:
            return view.alpha.new_zeros(())
        camera = self.cameras.draw(view.camera, view.training, view.generator)
        with torch.no_grad():
            theirs = view.other(camera).rgb
        return self.weight * (view.look(camera).rgb - theirs).abs().mean()
