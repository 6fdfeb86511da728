"""Where depth can come from, by name: our own stereo, or a pretrained network of somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from firstlight.errors import InputError
from firstlight.geometry._densify import Source, Stereo
from firstlight.geometry._field import RadianceField


@dataclass(frozen=True)
class Provider:
    """One way to depth, and on which terms."""

    name: str
    summary: str
    licence: str  # of the weights, in the words of who publishes them
    make: Callable[[], Source]  # loads nothing yet
    package: str | None = None  # that must be installed
    extra: str | None = None  # of firstlight, that installs it
    model: str | None = None  # on the Hugging Face hub

    @property
    def installed(self) -> bool:
        """Whether the package is there; weights are looked for when they are used."""
        try:
            return self.package is None or bool(version(self.package))
        except PackageNotFoundError:
            return False


def _monocular(model: str) -> Callable[[], Source]:
    def make() -> Source:
        from firstlight.geometry._monocular import Monocular

        return Monocular(model)

    return make


def _network(name: str, summary: str, licence: str, model: str) -> Provider:
    return Provider(name, summary, licence, _monocular(model), "transformers", "geometry", model)


# Licences as the model cards on the hub state them.
PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("stereo", "multi-view stereo, from the photos alone", "Apache-2.0 (firstlight)", Stereo),
        Provider(
            "radiance-field",
            "a voxel radiance field trained on the photos",
            "Apache-2.0 (firstlight)",
            RadianceField,
        ),
        _network(
            "depth-anything-v2-small",
            "relative depth of single photos (Yang et al. 2024)",
            "Apache-2.0",
            "depth-anything/Depth-Anything-V2-Small-hf",
        ),
        _network(
            "depth-anything-v2-base",
            "relative depth of single photos (Yang et al. 2024)",
            "CC BY-NC 4.0: not for commercial use",
            "depth-anything/Depth-Anything-V2-Base-hf",
        ),
        _network(
            "dpt-large",
            "relative depth of single photos (Ranftl et al. 2021)",
            "Apache-2.0",
            "Intel/dpt-large",
        ),
        _network(
            "zoedepth",
            "metric depth of single photos (Bhat et al. 2023)",
            "MIT",
            "Intel/zoedepth-nyu-kitti",
        ),
    )
}


def get_provider(name: str) -> Provider:
    """The provider called ``name``, or one for a folder with a model that transformers saved.

    InputError when there is none of that name, naming those that there are, or when its package is missing.
    """
    provider = PROVIDERS.get(name)
    if provider is None and (Path(name) / "config.json").is_file():
        provider = _network(name, "depth of single photos", "that of the model in this folder", name)
    if provider is None:
        raise InputError(
            f"No geometry is called '{name}'. There are: {', '.join(PROVIDERS)}; or a folder with a depth "
            "model that transformers saved."
        )
    if not provider.installed:
        raise InputError(
            f"Geometry '{name}' needs one more package: pip install 'firstlight[{provider.extra}]'."
        )
    return provider
