"""Where depth can come from, by name: our own stereo, or a pretrained network of somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import InputError
from firstlight.geometry._densify import Source, Stereo
from firstlight.geometry._field import RadianceField
from firstlight.geometry._multiview import MultiView, Network
from firstlight.pretrained import Pretrained, Use


@dataclass(frozen=True)
class Provider:
    """One way to depth, and on which terms."""

    name: str
    summary: str
    make: Callable[[], Source]  # loads nothing yet
    weights: Pretrained | None = None  # None: it has none

    @property
    def licence(self) -> str:
        """Of the weights; firstlight's own where there are none."""
        return "Apache-2.0 (firstlight)" if self.weights is None else self.weights.licence

    @property
    def installed(self) -> bool:
        """Whether the packages are there; weights are looked for when they are used."""
        return self.weights is None or not self.weights.missing


def _monocular(model: str) -> Callable[[], Source]:
    def make() -> Source:
        from firstlight.geometry._monocular import Monocular

        return Monocular(model)

    return make


def _network(name: str, summary: str, licence: str, model: str) -> Provider:
    weights = Pretrained(name, licence, model, ("transformers",), "pip install 'firstlight[geometry]'")
    return Provider(name, summary, _monocular(model), weights)


def _together(
    name: str,
    who: str,
    licence: str,
    load: str,
    side: int,
    patch: int,
    package: str,
    install: str,
    model: str,
) -> Provider:
    """A network with a package of its own, which also says where photos were taken; ``load`` opens it."""

    def network() -> Network:
        from firstlight.geometry import _packages

        opened: Network = getattr(_packages, load)(model)
        return opened

    summary = f"depth of all photos at once, and cameras to begin with ({who})"
    weights = Pretrained(name, licence, model, (package,), install)
    return Provider(name, summary, lambda: MultiView(network, side, patch), weights)


# Licences as the model cards on the hub state them.
PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("stereo", "multi-view stereo, from the photos alone", Stereo),
        Provider("radiance-field", "a voxel radiance field trained on the photos", RadianceField),
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
        *(
            _together(
                f"depth-anything-3-{size}",
                "Lin et al. 2025",
                "Apache-2.0",
                "depth_anything_3",
                504,
                14,
                "depth_anything_3",
                "pip install depth-anything-3 (it wants a NumPy below 2)",
                f"depth-anything/DA3-{size.upper()}",
            )
            for size in ("small", "base")
        ),
        _together(
            "vggt",
            "Wang et al. 2025",
            "CC BY-NC 4.0: not for commercial use",
            "vggt",
            518,
            14,
            "vggt",
            "install github.com/facebookresearch/vggt",
            "facebook/VGGT-1B",
        ),
        _together(
            "mast3r",
            "Leroy et al. 2024",
            "CC BY-NC-SA 4.0, and the terms of its training data: not for commercial use",
            "mast3r",
            512,
            16,
            "mast3r",
            "put github.com/naver/mast3r with its submodules on PYTHONPATH",
            "naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
        ),
    )
}


def get_provider(name: str) -> Provider:
    """The provider called ``name``, or one for a folder with a model that transformers saved.

    InputError when there is none of that name, naming those that there are, or when its package is missing.
    """
    provider = _provider(name)
    if provider.weights is not None and not provider.installed:
        needed = ", ".join(provider.weights.packages)
        raise InputError(f"Geometry '{name}' needs the package {needed}: {provider.weights.install}.")
    return provider


def weights_for(name: str | None) -> tuple[Use, ...]:
    """What a recipe whose geometry is ``name`` can use: the network's weights, or any network's by option."""
    if name is None:
        return ()
    own = _provider(name).weights
    if own is not None:
        return (Use((own,)),)
    return (Use(tuple(one.weights for one in PROVIDERS.values() if one.weights), "--geometry", name),)


def _provider(name: str) -> Provider:
    """Installed or not."""
    provider = PROVIDERS.get(name)
    if provider is None and (Path(name) / "config.json").is_file():
        provider = _network(name, "depth of single photos", "that of the model in this folder", name)
    if provider is None:
        raise InputError(
            f"No geometry is called '{name}'. There are: {', '.join(PROVIDERS)}; or a folder with a depth "
            "model that transformers saved."
        )
    return provider
