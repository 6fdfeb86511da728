"""Virtual views that a diffusion model repaired, as photos that are believed a little."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from firstlight.fitting.terms import View
from firstlight.fitting.virtual_cameras import VirtualCameras
from firstlight.pretrained import Use
from firstlight.repair import get_repairer, weights_for
from firstlight.scene import Cameras


@dataclass(frozen=True)
class RepairedViews:
    """weight · trust · L1 between the scene and a repaired picture of it from a virtual camera (LM-Gaussian).

    From ``start`` of the steps on, every ``every``, ``views`` virtual cameras are drawn, and what they see is
    repaired by ``model`` (a name in ``firstlight.repair.REPAIRERS``, or a folder that diffusers saved). Each
    step then compares with one of them. trust is min(1, 16 · distance to the nearest photo / largest distance
    of two photos), as in the paper: where a photo stands, there is nothing to repair. What is compared has no
    photo's exposure, as the next step's would be another. Unlike the paper's, the model is taken as it is: no
    LoRA is trained on the scene's own renders, and no ControlNet holds it.
    """

    model: str = "stable-diffusion-1.5"
    weight: float = 0.2
    strength: float = 0.2
    views: int = 8
    start: float = 0.4
    every: float = 0.2
    cameras: VirtualCameras = field(default_factory=VirtualCameras)
    sees_depth: ClassVar[bool] = False

    @property
    def pretrained(self) -> tuple[Use, ...]:
        return weights_for(self.model)

    def __call__(self, view: View) -> Tensor:
        """InputError when the model cannot be loaded."""
        if view.fraction < self.start or view.training is None:
            return view.alpha.new_zeros(())
        made = view.lasting.get("repaired.fraction")
        if made is None or view.fraction - float(made) >= self.every:
            self._repair(view, view.training)
        kept = view.lasting
        place = int(torch.randint(self.views, (1,), generator=view.generator))
        picture = kept["repaired.pictures"][place]
        camera = Cameras(
            kept["repaired.viewmats"][place : place + 1],
            kept["repaired.Ks"],
            torch.tensor([picture.shape[1]]),
            torch.tensor([picture.shape[0]]),
        )
        off = (view.look(camera, exposed=False).rgb - picture.float() / 255).abs().mean()
        return self.weight * kept["repaired.trust"][place] * off

    @torch.no_grad()
    def _repair(self, view: View, training: Cameras) -> None:
        repair = get_repairer(self.model).load()
        centers = training.centers
        apart = torch.cdist(centers, centers).max().clamp(min=1e-12)
        pictures, viewmats, trust = [], [], []
        for _ in range(self.views):
            camera = self.cameras.draw(view.camera, training, view.generator)
            rendered = (view.look(camera, exposed=False).rgb.clamp(0, 1) * 255).round().byte()
            seed = int(torch.randint(2**31, (1,), generator=view.generator))
            pictures.append(repair(rendered, self.strength, seed))
            viewmats.append(camera.viewmats[0])
            nearest = (centers - camera.centers).norm(dim=-1).min()
            trust.append((16 * nearest / apart).clamp(max=1))
        view.lasting.update(
            {
                "repaired.pictures": torch.stack(pictures),
                "repaired.viewmats": torch.stack(viewmats),
                "repaired.Ks": view.camera.Ks,
                "repaired.trust": torch.stack(trust),
                "repaired.fraction": torch.tensor(view.fraction, dtype=torch.float64),
            }
        )
