"""A loss that leaves out what stands in one photo and not in the others (RobustSplat, Fu et al. 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d

from firstlight.errors import InputError
from firstlight.fitting._descriptors import Descriptor, get_descriptor, weights_for
from firstlight.fitting._network_adam import NetworkAdam
from firstlight.fitting.model import under
from firstlight.fitting.terms import View
from firstlight.losses import photometric
from firstlight.pretrained import Use
from firstlight.scene import KEEP_FROM
from firstlight.weights import lsuv_

BINS, OLD = 1000, 0.95  # of residuals in [0, 1] (the authors: 10,000); left of earlier counts at a step
WIDTH = 16  # of the hidden layer
SURE = 8.0  # logits are drawn back to that: a sigmoid at its end would learn no more
KEY = "transients."  # of what is kept from step to step


@dataclass(frozen=True)
class WithoutTransients:
    """``Photometric`` where a small network takes the photo for static; it is trained on the way.

    The network sees what ``features`` say of each cell of the photo, and is taught by two things: how much
    photo and rendering look alike to the same features, and how large their difference in colour is. Both are
    looked at coarsely up to ``fine`` of the steps, while renderings are blurred, and finely afterwards. At
    first a penalty keeps everything static. The Gaussians learn nothing from what teaches the network.

    features: "dinov2", or "histograms" of colours and edges, which know no objects and therefore find less;
    "auto" takes the first where its weights are on this computer. start: in the paper 500 steps of 30,000; a
    later share of a short fit, as what is left out before the scene looks like its photos never comes to.
    Teaching begins half way there. rate: Adam's; the paper's is 1e-3. The paper's smoothing term on the
    network's weights is left out: in the authors' code it has no gradient.
    """

    ssim_weight: float = 0.2
    features: str = "auto"
    start: float = 0.2  # of the steps: from there on pixels are left out
    fine: float = 2 / 3  # of the steps
    coarse_cells: int = 16  # along the longer side
    fine_cells: int = 36
    static_above: float = 0.25
    margin: float = 7 / 500  # of the longer side: the window of the erosion
    rate: float = 3e-2
    sees_depth: ClassVar[bool] = False

    @property
    def pretrained(self) -> tuple[Use, ...]:
        return weights_for(self.features)

    def __call__(self, view: View) -> Tensor:
        if view.fraction < self.start / 2:
            return photometric(view.rendered, view.photo, view.mask, self.ssim_weight)
        describe = get_descriptor(self.features)
        seen = self.inputs(describe, view.photo)
        network = MaskNetwork.of(view.lasting, seen, view.generator)
        self._teach(network, describe, seen, view)
        network.keep(view.lasting)
        mask = view.mask
        if view.fraction >= self.start:
            mask = self.mask(network, seen, view.photo)
            if view.mask is not None:
                mask = torch.minimum(mask, view.mask)
        return photometric(view.rendered, view.photo, mask, self.ssim_weight)

    def left_out(self, photo: Tensor, lasting: dict[str, Tensor]) -> Tensor:
        """What of a photo [H, W, 3] uint8 a fit that keeps ``lasting`` leaves out [H, W] bool."""
        seen = self.inputs(get_descriptor(self.features), photo)
        network = MaskNetwork.of(lasting, seen, torch.Generator())
        return self.mask(network, seen, photo) == 0

    def inputs(self, describe: Descriptor, photo: Tensor) -> Tensor:
        """What the network sees of a photo [H, W, 3] uint8: each cell beside those around it [h, w, 2·D]."""
        cells = describe(photo.float() / 255, *_grid(photo.shape[:2], self.fine_cells)).permute(2, 0, 1)[None]
        around = avg_pool2d(cells, 3, 1, 1, count_include_pad=False)
        return torch.cat([cells, around], 1)[0].permute(1, 2, 0)

    @torch.no_grad()
    def mask(self, network: MaskNetwork, seen: Tensor, photo: Tensor) -> Tensor:
        """Which pixels [H, W] uint8 count (255): the static ones, less a margin around the others."""
        height, width = photo.shape[:2]
        static = (_resized(network(seen), (height, width)) > self.static_above).float()
        reach = round(self.margin * max(height, width) / 2)
        kept = 1 - max_pool2d(1 - static[None, None], 2 * reach + 1, 1, reach)[0, 0]
        return (255 * kept).byte()

    def _teach(self, network: MaskNetwork, describe: Descriptor, seen: Tensor, view: View) -> None:
        """One step of the network. What the user's mask ignores teaches it nothing."""
        photo, rendered = view.photo.float() / 255, view.rendered.detach()
        kept = torch.ones(photo.shape[:2])
        if view.mask is not None:
            kept = (view.mask >= KEEP_FROM).float()
            if not kept.any():
                return
            # Features of a cell see the pixels around it: there must be no difference either.
            rendered = torch.where(kept[..., None] > 0, rendered, photo)
        cells = self.fine_cells if view.fraction >= self.fine else self.coarse_cells
        grid = _grid(photo.shape[:2], cells)
        alike = describe.alike(describe(photo, *grid), describe(rendered, *grid, again=False))
        target, counts = (2 * alike - 1).clamp(0, 1), adaptive_avg_pool2d(kept[None, None], grid)[0, 0]
        residual = (photo - rendered).abs().mean(-1)
        if view.fraction < self.fine:
            residual, kept = avg_pool2d(torch.stack([residual, kept]), 4, ceil_mode=True)
            residual = residual / kept.clamp(min=1e-6)
        lower, upper = _bounds(residual, kept, view.lasting)
        with torch.enable_grad():
            logits = network.logits(seen)
            static = logits.sigmoid()
            said = _mean((_resized(static, grid) - target).abs(), counts)
            wide = _resized(static, residual.shape)
            outside = _mean((wide - upper).clamp(min=0) + (lower - wide).clamp(min=0), kept)
            # A hinge: the paper's 1 - static would drive all of it to 1.
            early = math.exp(-15 * (view.fraction - self.start / 2))
            nothing_yet = 2 * (0.5 - static).clamp(min=0).mean() * early
            too_sure = (logits.abs() - SURE).clamp(min=0).mean()
            network.step(0.5 * said + 0.5 * outside + nothing_yet + too_sure, self.rate)


class MaskNetwork:
    """How static a cell is, from what it looks like: linear, ReLU, linear, sigmoid."""

    def __init__(self, inputs: int) -> None:
        self.last = nn.Linear(WIDTH, 1)
        self.layers = nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), self.last)
        self.optimizer = NetworkAdam(dict(self.layers.named_parameters()))

    @staticmethod
    def of(lasting: dict[str, Tensor], seen: Tensor, generator: torch.Generator) -> MaskNetwork:
        """The one that ``lasting`` holds, or a new one that is undecided about what is ``seen`` [h, w, D]."""
        network = MaskNetwork(seen.shape[-1])
        state = under(KEY, lasting)
        if state:
            if state["network.0.weight"].shape[1] != seen.shape[-1]:
                raise InputError(
                    "This run began its masks of what moves by other features than are at hand now: DINOv2's "
                    "weights have come or gone since. Bring back what was there, or begin a new run."
                )
            network.layers.load_state_dict(under("network.", state))
            network.optimizer.load(under("adam.", state))
        else:
            # Features of any scale and sign; an output near 0, for a sigmoid that has not made up its mind.
            lsuv_(network.layers, seen.flatten(0, 1), center=True, generator=generator)
            with torch.no_grad():
                network.last.weight.mul_(0.1)
        return network

    def logits(self, seen: Tensor) -> Tensor:
        """[h, w] of ``seen`` [h, w, D]."""
        logits: Tensor = self.layers(seen).squeeze(-1)
        return logits

    def __call__(self, seen: Tensor) -> Tensor:
        """How static [h, w] in (0, 1)."""
        return self.logits(seen).sigmoid()

    def step(self, loss: Tensor, rate: float) -> None:
        self.layers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(rate)

    def keep(self, lasting: dict[str, Tensor]) -> None:
        """Write everything that the next step needs into ``lasting``."""
        state = {f"network.{name}": tensor.detach() for name, tensor in self.layers.named_parameters()}
        state |= {f"adam.{name}": tensor for name, tensor in self.optimizer.state().items()}
        lasting |= {KEY + name: tensor for name, tensor in state.items()}


def _grid(size: tuple[int, ...] | torch.Size, cells: int) -> tuple[int, int]:
    """Rows and columns of nearly square cells, ``cells`` along the longer side."""
    height, width = size
    side = max(height, width) / cells
    return max(1, round(height / side)), max(1, round(width / side))


def _resized(values: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """[h, w] → ``size``."""
    return interpolate(values[None, None], size=tuple(size), mode="bilinear", align_corners=False)[0, 0]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean of ``values`` that count as much as ``weights`` of the same shape, not all of which are 0."""
    return (values * weights).sum() / weights.sum()


def _bounds(residual: Tensor, kept: Tensor, lasting: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Where a pixel [h, w] must, and where it may, be static (1): its difference is below 60, 80 % of all.

    A pixel also is where most of its neighbours are. Only those count of which something is ``kept`` [h, w].
    """
    counts = torch.histc(residual[kept > 0], BINS, 0, 1)
    counts = counts + OLD * lasting.get(KEY + "counts", torch.zeros(BINS))
    lasting[KEY + "counts"] = counts
    share = counts.cumsum(0) / counts.sum()
    found = []
    for quantile in (0.6, 0.8):
        below = (residual <= (int((share < quantile).sum()) + 1) / BINS).float()
        around = avg_pool2d(torch.stack([below * kept, kept]), 3, 1, 1, count_include_pad=False)
        found.append(torch.maximum(below, (around[0] > 0.5 * around[1]).float()))
    return found[0], found[1]
