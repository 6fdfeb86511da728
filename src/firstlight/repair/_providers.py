"""Which diffusion models may repair renders, and on which terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from torch import Tensor

from firstlight.errors import InputError
from firstlight.pretrained import Pretrained, Use


class Repair(Protocol):
    """A loaded model."""

    def __call__(self, rendered: Tensor, strength: float, seed: int) -> Tensor:
        """A render [H, W, 3] uint8 → the picture [H, W, 3] uint8 that a photo from there may look like.

        strength: in (0, 1], how much of the model's way from noise to picture is walked; little keeps most.
        """


@dataclass(frozen=True)
class Repairer:
    """One model."""

    summary: str
    weights: Pretrained

    def load(self) -> Repair:
        """InputError when the model cannot be loaded."""
        return _loaded(self.weights.model)


def _diffusion(name: str, summary: str, licence: str, model: str) -> Repairer:
    packages, install = ("diffusers", "transformers"), "pip install 'firstlight[repair]'"
    return Repairer(summary, Pretrained(name, licence, model, packages, install))


# Licences as the model cards on the hub state them.
REPAIRERS: dict[str, Repairer] = {
    one.weights.name: one
    for one in (
        _diffusion(
            "stable-diffusion-1.5",
            "latent diffusion, image to image (Rombach et al. 2022)",
            "CreativeML OpenRAIL-M: forbids certain uses",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
        ),
    )
}


def get_repairer(name: str) -> Repairer:
    """The model called ``name``, or one for a folder that diffusers saved.

    InputError when there is none of that name, naming those that there are, or when a package is missing.
    """
    repairer = _repairer(name)
    if repairer.weights.missing:
        raise InputError(f"Repair by '{name}' needs more packages: {repairer.weights.install}.")
    return repairer


def weights_for(name: str) -> tuple[Use, ...]:
    """What repair by ``name`` needs."""
    return (Use((_repairer(name).weights,)),)


def _repairer(name: str) -> Repairer:
    """Installed or not."""
    if name in REPAIRERS:
        return REPAIRERS[name]
    if (Path(name) / "model_index.json").is_file():
        return _diffusion(name, "a diffusion model", "that of the model in this folder", name)
    raise InputError(
        f"No repair is called '{name}'. There are: {', '.join(REPAIRERS)}; or a folder with an "
        "image-to-image model that diffusers saved."
    )


@lru_cache(maxsize=1)
def _loaded(model: str) -> Repair:
    from firstlight.repair._diffusion import Diffusion

    return Diffusion(model)
