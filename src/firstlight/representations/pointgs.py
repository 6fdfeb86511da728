"""Gaussians decoded from what photos show at their points, and at the points around (PointGS, 2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, leaky_relu, normalize

from firstlight.density import Refinement
from firstlight.errors import InputError
from firstlight.fitting import DecodedModel
from firstlight.fitting._network_adam import NetworkAdam
from firstlight.fitting.model import under
from firstlight.representations._attention import attend
from firstlight.representations._weights import Weights, begin_
from firstlight.scene import KEEP_FROM, Capture, Gaussians
from firstlight.scene.neighbours import local_planes, nearest
from firstlight.scene.sh import rgb_to_sh

SIZE = 320  # pixels of the long side of photos that features are made of
CHANNELS = (8, 16, 24)  # of photos' features at strides 1, 2 and 4
OCTAVES = 2  # of the code of an offset
TIMID = 0.1  # of the heads' outputs at first: the scene begins as the start left it
HIDDEN_BEHIND = 1.05  # times the depth that is seen: a point farther away is not
NOWHERE = -1e4  # score of a photo that does not show a point


@dataclass(frozen=True)
class PointGs:
    """A small network for the scene, trained with it, in the place of each Gaussian's own numbers.

    A pyramid of convolutions describes up to ``views`` photos; each point gathers what they show where it
    falls on them, weighted by a learned score, then what its ``neighbours`` nearest points gathered, by
    attention. Two heads turn that into the Gaussian: one its offset (by at most half the gap to the points
    around), size, turn and opacity, as differences from the start; one its harmonics, as differences from the
    photos' colours.

    attention: without it each point stands alone. weights: of the networks at first.
    """

    most: int = 10_000
    views: int = 8
    neighbours: int = 16
    width: int = 32
    hidden: int = 64
    refresh: float = 1 / 6  # of the steps between searches for neighbours
    attention: bool = True
    weights: Weights = "lsuv"
    after: ClassVar[float] = 0.0

    def limited(self, most: int) -> PointGs:
        return replace(self, most=min(self.most, most))

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> PointGsModel:
        if len(gaussians) < 2:
            raise InputError(
                f"PointGS decodes each Gaussian from those around it, and the start gave {len(gaussians)}. "
                "Give photos with more sparse points, or a recipe with another start."
            )
        if len(gaussians) > self.most:
            drawn = torch.randperm(len(gaussians), generator=now.generator)[: self.most]
            gaussians = gaussians.select(drawn.sort().values)
        decoder = Decoder(self, gaussians.sh.shape[1])
        model = PointGsModel(self, gaussians, sightings(gaussians.means, capture, self.views), decoder)
        begin_(decoder, self.weights, now.generator, *model.inputs())
        if self.weights != "torch":
            decoder.calm_(TIMID)
        return model

    def restore(self, state: dict[str, Tensor], capture: Capture) -> PointGsModel:
        base = Gaussians(**under("base.", state))
        decoder = Decoder(self, base.sh.shape[1])
        decoder.load_state_dict(under("network.", state))
        model = PointGsModel(self, base, sightings(base.means, capture, self.views), decoder)
        model.look_around(state["around"])
        model.searched = int(state["searched"])
        model.optimizer.load(under("adam.", state))
        return model


class Sighting(NamedTuple):
    """One photo, and where N points fall on it."""

    picture: Tensor  # [1, 3, H, W] float32, around 0
    place: Tensor  # [1, 1, N, 2] for ``grid_sample``
    seen: Tensor  # [N] bool, by a pixel that no mask ignores
    slant: Tensor  # [N] cosine between the ray and the normal of the points around


@torch.no_grad()
def sightings(means: Tensor, capture: Capture, most: int) -> list[Sighting]:
    """At most ``most`` photos of the capture, evenly spaced."""
    cameras = capture.cameras
    assert cameras is not None
    planes = local_planes(means, nearest(means, min(8, len(means) - 1)))
    chosen = np.linspace(0, len(capture) - 1, min(most, len(capture))).round().astype(int)
    found = []
    for index in chosen.tolist():
        photo, camera = capture.photos[index], cameras.select([index])
        pixel, depth = camera.project(means.double())
        place = 2 * pixel / torch.tensor([photo.width, photo.height]) - 1
        seen = (depth > 0) & (place.abs() < 1).all(1)
        if photo.depth is not None:
            there = _nearest(torch.from_numpy(photo.depth())[None, None], place)
            seen &= (there <= 0) | (depth < HIDDEN_BEHIND * there)
        ray = normalize(means.double() - camera.centers[0].double(), dim=-1)
        small = photo.resized(SIZE).decode()
        if small.mask is not None:
            kept = torch.from_numpy(small.mask)[None, None].float()
            seen &= _nearest(kept, place) >= KEEP_FROM
        picture = torch.from_numpy(small.rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
        found.append(
            Sighting(picture, place.float()[None, None], seen, (ray * planes.normals).sum(-1).abs().float())
        )
    return found


def _nearest(picture: Tensor, place: Tensor) -> Tensor:
    """The pixels [N] of ``picture`` [1, 1, H, W] float32 at ``place`` [N, 2], from −1 to 1."""
    found = grid_sample(picture, place.float()[None, None], mode="nearest", align_corners=False)
    return found[0, 0, 0]


class Decoder(nn.Module):
    """All that is learned."""

    def __init__(self, settings: PointGs, coefficients: int) -> None:
        super().__init__()
        width, hidden, (a, b, c) = settings.width, settings.hidden, CHANNELS
        self.pyramid = nn.ModuleList(
            [nn.Conv2d(3, a, 3, 1, 1), nn.Conv2d(a, b, 3, 2, 1), nn.Conv2d(b, c, 3, 2, 1)]
        )
        gathered = a + b + c + 3
        self.score = nn.Linear(gathered + 1, 1)
        self.mix = nn.Linear(gathered, width)
        self.attention = Attention(width) if settings.attention else None
        self.geometry = _head(width, hidden, 3 + 3 + 4 + 1)
        self.colour = _head(width, hidden, 3 * coefficients)

    def forward(
        self, sightings: list[Sighting], around: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What both heads say [N, 11] and [N, 3·K], and the photos' colours [N, 3] in [0, 1]."""
        shown = torch.stack([self._shown(one) for one in sightings])  # [V, N, C]
        slant = torch.stack([one.slant for one in sightings])[..., None]
        seen = torch.stack([one.seen for one in sightings])
        score = self.score(torch.cat([shown, slant], -1)).squeeze(-1)
        weight = score.masked_fill(~seen, NOWHERE).softmax(0)[..., None]
        gathered = (weight * shown).sum(0)
        features = self.mix(gathered)
        if self.attention is not None:
            features = self.attention(features, around, offsets)
        return self.geometry(features), self.colour(features), (gathered[:, -3:] + 1) / 2

    @torch.no_grad()
    def calm_(self, share: float) -> None:
        """Outputs ``share`` of what they are."""
        for head in (self.geometry, self.colour):
            for last in list(head.parameters())[-2:]:
                last.mul_(share)

    def _shown(self, sighting: Sighting) -> Tensor:
        """Features of all strides, and the colour, of one photo at the points [N, C]."""
        levels, level = [], sighting.picture
        for convolution in self.pyramid:
            level = leaky_relu(convolution(level), 0.1)
            levels.append(level)
        sampled = [
            grid_sample(one, sighting.place, padding_mode="border", align_corners=False)[0, :, 0].T
            for one in (*levels, sighting.picture)
        ]
        return torch.cat(sampled, -1)


class Attention(nn.Module):
    """One head over a point's neighbours, whose keys and values also know where they stand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.pair = nn.Linear(width, 2 * width)  # key and value
        self.offset = nn.Linear(3 + 6 * OCTAVES, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, features: Tensor, around: Tensor, offsets: Tensor) -> Tensor:
        """features [N, D], around [N, K] indices, offsets [N, K, C] coded → [N, D]."""
        # Keys and values are linear in features and offset together. For what offsets add, the query is taken
        # to their C numbers, and only their mean to values: no key or value is made of them.
        by_offset = self.offset.weight.chunk(2)  # [D, C] each, for keys and for values
        query = self.query(features)
        values, places = attend(self.pair(features), query, query @ by_offset[0], offsets, around)
        mixed = values + places @ by_offset[1].T
        attended: Tensor = features + self.out(mixed)
        return attended


def _head(width: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def coded(offsets: Tensor) -> Tensor:
    """Offsets [..., 3] with sines and cosines of them [..., 15]."""
    angles = [2**octave * torch.pi / 2 * offsets for octave in range(OCTAVES)]
    waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.cat([offsets, *waves], -1)


class PointGsModel(DecodedModel):
    """The networks under optimisation, over the points that a start gave."""

    def __init__(
        self, settings: PointGs, base: Gaussians, sightings: list[Sighting], decoder: Decoder
    ) -> None:
        super().__init__()
        self.settings, self.base, self.sightings, self.decoder = settings, base, sightings, decoder
        self.count = min(settings.neighbours, len(base) - 1)
        around = nearest(base.means, self.count)  # [N, K]
        closest = around[:, :3]
        self.gaps = (base.means[closest] - base.means[:, None]).norm(dim=-1).mean(-1, keepdim=True)  # [N, 1]
        self.look_around(around)
        self.searched = 0  # how often neighbours were searched for since
        self.optimizer = NetworkAdam(self.parameters())

    def parameters(self) -> dict[str, Tensor]:
        return dict(self.decoder.named_parameters())

    def look_around(self, around: Tensor) -> None:
        """From now on each point's neighbours are ``around`` [N, K]."""
        means, gaps = self.base.means, self.gaps[:, None].clamp(min=1e-12)
        self.around = around
        self.offsets = coded(((means[around] - means[:, None]) / gaps).clamp(-8, 8))  # [N, K, C]

    def inputs(self) -> tuple[list[Sighting], Tensor, Tensor]:
        """What the decoder is called with."""
        return self.sightings, self.around, self.offsets

    def decode(self) -> Gaussians:
        base = self.base
        geometry, colour, rgb = self.decoder(*self.inputs())
        offset, size, turn, opacity = geometry.split((3, 3, 4, 1), -1)
        sh = colour.reshape(len(base), -1, 3)
        return Gaussians(
            base.means + 0.5 * self.gaps * offset.tanh(),
            base.quats + turn,
            base.log_scales + size,
            base.logit_opacities + opacity.squeeze(-1),
            torch.cat([sh[:, :1] + rgb_to_sh(rgb)[:, None], sh[:, 1:]], 1),
        )

    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        self.optimizer.step(rates["network"])

    def refine(self, now: Refinement) -> str | None:
        """Points have moved: look for their neighbours anew."""
        if now.step == now.steps:  # no step would learn from the new ones
            return None
        due = int(now.step / now.steps / self.settings.refresh)
        if due > self.searched and self.decoder.attention is not None:
            self.look_around(nearest(self.gaussians.means, self.count))
            self.searched = due
            self.changed()
            return "neighbours searched for"
        return None

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"base.{name}": tensor for name, tensor in self.base.tensors().items()},
            **{f"network.{name}": tensor for name, tensor in self.decoder.state_dict().items()},
            **{f"adam.{name}": tensor for name, tensor in self.optimizer.state().items()},
            "around": self.around,
            "searched": torch.tensor(self.searched),
        }
