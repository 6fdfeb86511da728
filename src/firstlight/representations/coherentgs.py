"""A Gaussian for each pixel, moving on its ray as a smooth decoder says (CoherentGS, Paliwal et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, leaky_relu, max_pool2d

from firstlight.density import Refinement
from firstlight.fitting import DecodedModel
from firstlight.fitting._adam import VisibleAdam
from firstlight.fitting._network_adam import NetworkAdam
from firstlight.fitting.model import under
from firstlight.representations._weights import Weights, begin_
from firstlight.scene import Capture, Gaussians
from firstlight.starts import PixelGrid, opacity_for, pixel_grids

WIDTHS = (16, 16, 16, 8, 8, 8, 4)  # of the decoder's layers, times ``width``
CODE = 20  # numbers that stand for a photo
TIMID = 0.01  # of the decoders' outputs at first: Gaussians stand where the start placed them
SAMPLED = 400  # disparities that are clustered
SURE = 2 * math.log(2)  # pixels by which flow there and back may miss: where exp(−half of it) is a half
EROSION = 5  # pixels, of what flow is sure of
OWN = ("quats", "log_scales", "sh")  # what each Gaussian has of its own


@dataclass(frozen=True)
class CoherentGs:
    """Depth and opacity of each pixel's Gaussian come from two convolutional decoders that all photos share.

    A decoder grows one code a photo to a picture, so that neighbours move together; it has an output for each
    of ``segments`` ranges of depth, between which there may be edges. Depth is z₀·(1 + reach·tanh), the logit
    of opacity that of the start + opacity_reach·tanh. Size, turn and harmonics are each Gaussian's own, and
    sizes are set anew from depth every ``resize`` of the steps until ``resize_until``.

    smooth: weight of the total variation of disparity, at first over all of it, in the end within segments.
    flow: weight of the distance between points that optical flow says are one; where flow there and back do
    not agree, one photo does not see the other's point, and nothing is said. weights: of both
    decoders at first. decoded: without it each pixel has numbers of its own in their place.
    """

    most: int = 60_000
    width: int = 4
    segments: int = 5
    reach: float = 0.5
    opacity_reach: float = 10.0
    smooth: float = 5.0
    flow: float = 0.01
    resize: float = 1 / 200
    resize_until: float = 0.75
    weights: Weights = "lsuv"
    decoded: bool = True
    after: ClassVar[float] = 0.0

    def limited(self, most: int) -> CoherentGs:
        return replace(self, most=min(self.most, most))

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> CoherentModel:
        """``gaussians`` are those of ``PixelStart``; they are made anew, in case some were left out."""
        sheets = sheets_of(pixel_grids(capture, self.most), self.segments)
        pairs = pairs_of(capture, sheets) if self.flow else []
        opacity = opacity_for(len(capture))
        base = Gaussians.merge([sheet.grid.gaussians(opacity) for sheet in sheets])
        model = CoherentModel(self, base.with_degree(gaussians.degree), sheets, pairs, now.steps)
        for decoder in (model.depth, model.opacity):
            begin_(decoder, self.weights, now.generator, len(sheets), decoder.size)
            if self.weights != "torch":
                decoder.calm_(TIMID)
        return model

    def restore(self, state: dict[str, Tensor], capture: Capture) -> CoherentModel:
        sheets = sheets_of(pixel_grids(capture, self.most), self.segments)
        pairs = pairs_of(capture, sheets) if self.flow else []
        model = CoherentModel(self, Gaussians(**under("base.", state)), sheets, pairs, int(state["steps"]))
        model.decoders.load_state_dict(under("network.", state))
        with torch.no_grad():
            for name, tensor in model.own.items():
                tensor.copy_(state[f"own.{name}"])
        model.rows.load(under("rows.", state))
        model.optimizer.load(under("adam.", state))
        model.done = int(state["done"])
        return model


class Sheet(NamedTuple):
    """The Gaussians of one photo."""

    grid: PixelGrid
    segments: Tensor  # [S, h, w] float32: how much each pixel belongs to each range of depth; 1 in all
    axis: Tensor  # [3] float32, along which the camera looks
    center: Tensor  # [3]


class Pair(NamedTuple):
    """Pixels of one photo, and where optical flow finds them in another one."""

    here: int  # sheets
    there: int
    sure: Tensor  # [h, w] bool, of ``here``'s grid
    place: Tensor  # [h, w, 2] in ``there``'s grid, for ``grid_sample``


def sheets_of(grids: list[PixelGrid], segments: int) -> list[Sheet]:
    """One a photo, its depth cut into ranges."""
    found = []
    for grid in grids:
        viewmat = grid.camera.viewmats[0]
        axis, center = viewmat[2, :3].float(), grid.camera.centers[0].float()
        found.append(Sheet(grid, ranges((1 / grid.depth).float(), segments), axis, center))
    return found


def ranges(disparity: Tensor, count: int) -> Tensor:
    """Soft masks [count, h, w] of ``disparity`` [h, w], clustered bottom up (Ward); empty ones are 0."""
    some = np.quantile(disparity.numpy(), np.linspace(0, 1, SAMPLED))
    label = fcluster(linkage(some[:, None], "ward"), count, "maxclust")
    # In one dimension clusters are intervals: what counts is where they end.
    ends = np.array(sorted(some[label == one].max() for one in np.unique(label))[:-1])
    segment = torch.from_numpy(np.searchsorted(ends, disparity.numpy()))
    hard = (segment == torch.arange(count)[:, None, None]).float()
    soft = avg_pool2d(hard[None], 3, 1, 1, count_include_pad=False)[0]
    return soft / soft.sum(0)


def pairs_of(capture: Capture, sheets: list[Sheet]) -> list[Pair]:
    """Of each photo and the next one, both ways; of all photos where they are no more than four.

    Photos of different sizes are no pair.
    """
    steps = range(1, len(sheets)) if len(sheets) <= 4 else range(1, 2)
    grey = [
        cv2.cvtColor(capture.photos[sheet.grid.photo].decode().rgb, cv2.COLOR_RGB2GRAY) for sheet in sheets
    ]
    found = []
    for step in steps:
        for here in range(len(sheets) - step):
            there = here + step
            if grey[here].shape == grey[there].shape:
                flows = _flow(grey[here], grey[there]), _flow(grey[there], grey[here])
                found.append(_pair(here, there, flows[0], flows[1], sheets))
                found.append(_pair(there, here, flows[1], flows[0], sheets))
    return found


def _flow(here: np.ndarray, there: np.ndarray) -> Tensor:
    """Optical flow by dense inverse search (Kroeger et al. 2016) [H, W, 2]."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return torch.from_numpy(np.asarray(search.calc(here, there, None), np.float32))


def _pair(here: int, there: int, out: Tensor, back: Tensor, sheets: list[Sheet]) -> Pair:
    height, width = out.shape[:2]
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    arrived = torch.stack([column, row], -1) + out  # pixels, their centres at whole numbers
    place = (2 * arrived + 1) / torch.tensor([width, height]) - 1
    returned = grid_sample(back.permute(2, 0, 1)[None], place[None], align_corners=False)[0].permute(1, 2, 0)
    sure = ((out + returned).norm(dim=-1) < SURE) & (place.abs() < 1).all(-1)
    eroded = max_pool2d(1 - sure.float()[None, None], EROSION, 1, EROSION // 2)[0, 0] < 0.5
    grid, other = sheets[here].grid, sheets[there].grid
    cells = (arrived[grid.rows, grid.columns] - other.stride // 2) / other.stride
    extent = torch.tensor(other.rows.shape[::-1])
    return Pair(here, there, eroded[grid.rows, grid.columns] & grid.kept, (2 * cells + 1) / extent - 1)


class Decoder(nn.Module):
    """A code a photo, doubled and convolved until it is as large as a picture; one output a segment."""

    def __init__(self, photos: int, size: tuple[int, int], width: int, segments: int) -> None:
        super().__init__()
        self.size = size
        doublings = max(1, math.ceil(math.log2(max(size))))
        widths = [CODE, *(width * WIDTHS[min(i, len(WIDTHS) - 1)] for i in range(doublings))]
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs + (2 if i == 1 else 0), outputs, 3, 1, 1)
            for i, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.out = nn.Conv2d(widths[-1] + (2 if doublings == 1 else 0), segments, 3, 1, 1)

    def forward(self, photos: int, size: tuple[int, int]) -> Tensor:
        """[photos, segments, h, w]"""
        x = codes(photos)
        for i, layer in enumerate(self.layers):
            left = len(self.layers) - 1 - i
            x = interpolate(x, size=[-(-side // 2**left) for side in size], mode="bilinear")
            # Convolutions and their gradients take half the time with a pixel's channels side by side.
            x = x.contiguous(memory_format=torch.channels_last)
            x = leaky_relu(layer(_located(x) if i == 1 else x), 0.2)
        decoded: Tensor = self.out(_located(x) if len(self.layers) == 1 else x)
        return decoded

    @torch.no_grad()
    def calm_(self, share: float) -> None:
        """Outputs ``share`` of what they are."""
        for last in self.out.parameters():
            last.mul_(share)


class Apart(nn.Module):
    """In the place of a decoder: numbers that nothing holds together."""

    def __init__(self, photos: int, size: tuple[int, int], width: int, segments: int) -> None:
        super().__init__()
        self.size = size
        self.maps = nn.Parameter(torch.zeros(photos, segments, *size))

    def forward(self, photos: int, size: tuple[int, int]) -> Tensor:
        return self.maps

    def calm_(self, share: float) -> None:
        pass


def codes(photos: int) -> Tensor:
    """Sines and cosines of the photo's place among all [photos, 20, 1, 1]."""
    place = (torch.arange(photos) + 0.5)[:, None] / photos
    angles = place * torch.pi * 2.0 ** torch.arange(CODE // 2)
    return torch.cat([angles.sin(), angles.cos()], -1)[..., None, None]


def _located(x: Tensor) -> Tensor:
    """With each pixel's place, from −1 to 1, as two more channels."""
    y = torch.linspace(-1, 1, x.shape[2])[:, None].expand(x.shape[2:])
    across = torch.linspace(-1, 1, x.shape[3])[None].expand(x.shape[2:])
    return torch.cat([x, torch.stack([across, y]).expand(len(x), -1, -1, -1)], 1)


class CoherentModel(DecodedModel):
    """Decoders and each Gaussian's own numbers under optimisation."""

    def __init__(
        self, settings: CoherentGs, base: Gaussians, sheets: list[Sheet], pairs: list[Pair], steps: int
    ) -> None:
        super().__init__()
        self.settings, self.base, self.sheets, self.pairs = settings, base, sheets, pairs
        self.steps, self.done = steps, 0
        self.counts = [int(sheet.grid.kept.sum()) for sheet in sheets]
        self.centers = torch.cat([s.center.expand(n, 3) for s, n in zip(sheets, self.counts, strict=True)])
        size = (max(s.grid.rows.shape[0] for s in sheets), max(s.grid.rows.shape[1] for s in sheets))
        make = (len(sheets), size, settings.width, settings.segments)
        kind = Decoder if settings.decoded else Apart
        self.depth, self.opacity = kind(*make), kind(*make)
        self.decoders = nn.ModuleDict({"depth": self.depth, "opacity": self.opacity})
        self.own = {name: base.tensors()[name].clone().requires_grad_() for name in OWN}
        self.rows = VisibleAdam(self.own)
        self.optimizer = NetworkAdam(dict(self.decoders.named_parameters()))
        self.median = float(torch.cat([s.grid.depth[s.grid.kept] for s in sheets]).median())

    def parameters(self) -> dict[str, Tensor]:
        return {**dict(self.decoders.named_parameters()), **self.own}

    def decode(self) -> Gaussians:
        farther = 1 + self.settings.reach * self._said(self.depth)
        return replace(
            self.base,
            means=self.centers + farther[:, None] * (self.base.means - self.centers),
            logit_opacities=self.base.logit_opacities
            + self.settings.opacity_reach * self._said(self.opacity),
            **self.own,
        )

    def _said(self, decoder: Decoder | Apart) -> Tensor:
        """What a decoder says of each Gaussian [N] in (−1, 1)."""
        maps = decoder(len(self.sheets), decoder.size).tanh()
        said = []
        for sheet, photo in zip(self.sheets, maps, strict=True):
            _, h, w = sheet.segments.shape
            said.append((sheet.segments * photo[:, :h, :w]).sum(0)[sheet.grid.kept])
        return torch.cat(said)

    def step(self, visible: Tensor, rates: dict[str, float]) -> None:
        torch.autograd.backward(self.penalty(self.gaussians.means))
        super().step(visible, rates)

    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        self.rows.step(visible, rates)
        self.optimizer.step(rates["network"])

    def refine(self, now: Refinement) -> str | None:
        settings = self.settings
        self.done, self.steps = now.step, now.steps  # a fit may find on its way that it has fewer or more
        every = max(1, round(settings.resize * now.steps))
        if now.step % every or now.step > settings.resize_until * now.steps:
            return None
        with torch.no_grad():
            depths = self.depths(self.gaussians.means)
            pairs = zip(self.sheets, depths, strict=True)
            wide = torch.cat([sheet.grid.width(depth) for sheet, depth in pairs])
            self.own["log_scales"].copy_(wide.clamp(min=1e-9).log()[:, None].expand(-1, 3))
        self.rows.reset(torch.arange(len(self)), ["log_scales"])
        self.changed()
        return "sizes set from depth"

    def depths(self, means: Tensor) -> list[Tensor]:
        """z-depth of each photo's Gaussians [P]."""
        parts = zip(self.sheets, torch.split(means, self.counts), strict=True)
        return [(part - sheet.center) @ sheet.axis for sheet, part in parts]

    def penalty(self, means: Tensor) -> Tensor:
        """Rough disparity, and points that flow says are one and that stand apart; ``means`` [N, 3]."""
        settings, within = self.settings, min(1.0, self.done / self.steps)
        loss = means.sum() * 0
        if settings.smooth:
            for sheet, depth in zip(self.sheets, self.depths(means), strict=True):
                disparity = 1 / (depth / self.median + 1).clamp(min=1e-3)
                rough, inside = roughness(_on_grid(disparity, sheet.grid.kept), sheet)
                loss = loss + settings.smooth * (within * inside + (1 - within) * rough) / len(self.sheets)
        if self.pairs:
            maps = [
                _on_grid(part, sheet.grid.kept)
                for sheet, part in zip(self.sheets, torch.split(means, self.counts), strict=True)
            ]
            for pair in self.pairs:
                loss = loss + settings.flow * self._apart(pair, maps) / len(self.pairs)
        return loss

    def _apart(self, pair: Pair, maps: list[Tensor]) -> Tensor:
        """Mean L1 distance between points of a pair, in median depths."""
        here, there = maps[pair.here], maps[pair.there]
        found = grid_sample(there.permute(2, 0, 1)[None], pair.place[None], align_corners=False)[0]
        kept = self.sheets[pair.there].grid.kept.float()[None, None]
        sure = pair.sure & (grid_sample(kept, pair.place[None], align_corners=False)[0, 0] > 0.999)
        if not sure.any():
            return here.sum() * 0
        return (here - found.permute(1, 2, 0))[sure].abs().mean() / self.median

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"base.{name}": tensor for name, tensor in self.base.tensors().items()},
            **{f"network.{name}": tensor for name, tensor in self.decoders.state_dict().items()},
            **{f"own.{name}": tensor.detach() for name, tensor in self.own.items()},
            **{f"rows.{name}": tensor for name, tensor in self.rows.state().items()},
            **{f"adam.{name}": tensor for name, tensor in self.optimizer.state().items()},
            "steps": torch.tensor(self.steps),
            "done": torch.tensor(self.done),
        }


def _on_grid(values: Tensor, kept: Tensor) -> Tensor:
    """Values [P, ...] of the kept pixels on their grid [h, w, ...], 0 elsewhere."""
    whole = values.new_zeros(*kept.shape, *values.shape[1:])
    return whole.masked_scatter(kept.reshape(*kept.shape, *[1] * (values.ndim - 1)), values)


def roughness(disparity: Tensor, sheet: Sheet) -> tuple[Tensor, Tensor]:
    """Total variation of ``disparity`` [h, w], and what of it is within segments: means over pixels."""
    kept, segment = sheet.grid.kept, sheet.segments.argmax(0)
    rough = inside = disparity.sum() * 0
    for axis in (0, 1):
        a, b = (slice(None), slice(1, None)), (slice(None), slice(None, -1))
        a, b = (a, b) if axis else (a[::-1], b[::-1])
        both = kept[a] & kept[b]
        difference = (disparity[a] - disparity[b]).abs() * both
        rough = rough + difference.sum() / kept.sum().clamp(min=1)
        inside = inside + (difference * (segment[a] == segment[b])).sum() / kept.sum().clamp(min=1)
    return rough, inside
