"""Which diffusion models may repair renders, and on which terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from torch import Tensor

from firstlight.errors import InputError

PACKAGES = ("diffusers", "transformers")


class Repair(Protocol):
    """A loaded model."""

    def __call__(self, rendered: Tensor, strength: float, seed: int) -> Tensor:
        """A render [H, W, 3] uint8 → the picture [H, W, 3] uint8 that a photo from there may look like.

        strength: in (0, 1], how much of the model's way from noise to picture is walked; little keeps most.
        """


@dataclass(frozen=True)
class Repairer:
    """One model."""

    name: str
    summary: str
    licence: str  # of the weights, in the words of who publishes them
    model: str  # on the Hugging Face hub, or a folder

    @property
    def installed(self) -> bool:
        """Whether the packages are there; weights are looked for when they are used."""
        return all(find_spec(package) is not None for package in PACKAGES)

    def load(self) -> Repair:
        """InputError when the model cannot be loaded."""
        return _loaded(self.model)


# Licences as the model cards on the hub state them.
REPAIRERS: dict[str, Repairer] = {
    one.name: one
    for one in (
        Repairer(
            "stable-diffusion-1.5",
            "latent diffusion, image to image (Rombach et al. 2022)",
            "CreativeML Open RAIL-M: forbids certain uses",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
        ),
    )
}


def get_repairer(name: str) -> Repairer:
    """The model called ``name``, or one for a folder that diffusers saved.

    InputError when there is none of that name, naming those that there are, or when a package is missing.
    """
    repairer = REPAIRERS.get(name)
    if repairer is None and (Path(name) / "model_index.json").is_file():
        repairer = Repairer(name, "a diffusion model", "that of the model in this folder", name)
    if repairer is not None and not repairer.installed:
        raise InputError(f"Repair by '{name}' needs more packages: pip install 'firstlight[repair]'.")
    if repairer is not None:
        return repairer
    raise InputError(
        f"No repair is called '{name}'. There are: {', '.join(REPAIRERS)}; or a folder with an "
        "image-to-image model that diffusers saved."
    )


@lru_cache(maxsize=1)
def _loaded(model: str) -> Repair:
    from firstlight.repair._diffusion import Diffusion

    return Diffusion(model)
