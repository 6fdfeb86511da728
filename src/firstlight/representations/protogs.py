"""ProtoGS: Efficient and High-Quality Rendering with 3D Gaussian Prototypes (2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import embedding

from firstlight.density import Refinement, halves
from firstlight.density.strategy import due
from firstlight.fitting import DecodedModel, VisibleAdam
from firstlight.fitting.model import leaves, under
from firstlight.render import splat_scores
from firstlight.representations._kmeans import Floats, Ints, parts, seeded
from firstlight.representations._prototypes import prototypes_of
from firstlight.scene import Capture, Gaussians

LARGEST = 4096  # Gaussians that K-means sees at once


@dataclass(frozen=True)
class Prototypes:
    """From ``after`` on, each group of Gaussians around an anchor is a few prototypes, which alone are left.

    Anchors are the sparse points; one with fewer than ``fewest`` Gaussians gives them to its neighbours.
    K-means finds about one prototype for ``ratio`` Gaussians. It is rendered and trained directly: its centre
    is its anchor's place and an offset, so that a group can move as one. Until ``settled``, the groups with
    the most error get a fifth more prototypes, and as many are taken from those with the least.

    The paper's abstract says this much; all numbers are our own. Re-clustering goes by the prototypes as they
    have become: the Gaussians that they once stood for are not kept.
    """

    after: float = 0.5
    ratio: float = 10.0
    fewest: int = 20
    anchored: bool = True  # False: all Gaussians are one group, K-means alone decides
    anchor_rate: float = 0.1  # of the means' learning rate
    every: int = 1000  # steps of 30,000 between re-clusterings
    settled: int = 24_000  # of 30,000: from here on nothing but training
    moved: float = 0.1  # share of the groups that are given prototypes, and of those that give
    more: float = 0.2  # prototypes that a group is given
    views: int = 8  # looked at for the error

    def limited(self, most: int) -> Prototypes:
        return self  # there are fewer than there were Gaussians

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> PrototypeModel:
        rng = seeded(now.generator)
        weights = painted(len(gaussians), now)
        if (weights > 0).any():  # what no photo shows is worth no prototype
            gaussians, weights = gaussians.select(weights > 0), weights[weights > 0]
        anchors, group = self._groups(gaussians, capture)
        made, belongs = [], []
        for rows in self._bounded(gaussians, group, rng):
            count = max(round(len(rows) / self.ratio), 1)
            chosen = torch.from_numpy(rows)
            made.append(prototypes_of(gaussians.select(chosen), weights[chosen], count, rng))
            belongs.append(torch.full((len(made[-1]),), int(group[rows[0]])))
        rows_of = torch.cat(belongs)
        prototypes = Gaussians.merge(made)
        offsets = replace(prototypes, means=prototypes.means - anchors[rows_of])
        return PrototypeModel(self, offsets, anchors, rows_of)

    def restore(self, state: dict[str, Tensor], capture: Capture) -> PrototypeModel:
        rows = Gaussians(**under("prototypes.", state))
        model = PrototypeModel(self, rows, state["anchors"], state["group"])
        model.rows.load(under("rows.", state))
        model.places.load(under("places.", state))
        return model

    def _groups(self, gaussians: Gaussians, capture: Capture) -> tuple[Tensor, Ints]:
        """Anchors [G, 3], and the one [N] that each Gaussian belongs to."""
        means = gaussians.means.double().numpy()
        points = capture.points
        if not self.anchored or points is None or not len(points):
            return gaussians.means.mean(0, keepdim=True), np.zeros(len(means), np.int64)
        anchors, group = gathered(means, points.xyz.double().numpy(), self.fewest)
        return torch.from_numpy(anchors).float(), group

    def _bounded(self, gaussians: Gaussians, group: Ints, rng: np.random.Generator) -> list[Ints]:
        """The rows of each group, in parts where it is a large one."""
        order = np.argsort(group, kind="stable")
        cut = np.split(order, np.cumsum(np.bincount(group))[:-1])
        means = gaussians.means.double().numpy()
        return [rows[part] for rows in cut if len(rows) for part in parts(means[rows], LARGEST, rng)]


class PrototypeModel(DecodedModel):
    """Prototypes at offsets from their groups' anchors."""

    def __init__(self, settings: Prototypes, rows: Gaussians, anchors: Tensor, group: Tensor) -> None:
        """The means of ``rows`` [P] are offsets from ``anchors`` [G, 3], those of their ``group`` [P]."""
        super().__init__()
        self.settings, self.group = settings, group
        self.prototypes = leaves(rows)
        self.anchors = anchors.detach().clone().requires_grad_()
        self.rows = VisibleAdam(self.prototypes.tensors())
        self.places = VisibleAdam({"means": self.anchors})

    def parameters(self) -> dict[str, Tensor]:
        return {**self.prototypes.tensors(), "anchors": self.anchors}

    def decode(self) -> Gaussians:
        # Not plain indexing: the sums of its gradient come in any order on two threads.
        return replace(self.prototypes, means=embedding(self.group, self.anchors) + self.prototypes.means)

    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        self.rows.step(visible, rates)
        groups = torch.zeros(len(self.anchors), dtype=torch.bool).index_fill_(0, self.group[visible], True)
        self.places.step(groups, {"means": self.settings.anchor_rate * rates["means"]})

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"prototypes.{name}": tensor.detach() for name, tensor in self.prototypes.tensors().items()},
            "anchors": self.anchors.detach(),
            "group": self.group,
            **{f"rows.{name}": tensor for name, tensor in self.rows.state().items()},
            **{f"places.{name}": tensor for name, tensor in self.places.state().items()},
        }

    @torch.no_grad()
    def refine(self, now: Refinement) -> str | None:
        """Give prototypes to the groups with the most error for each that they have, take from the others."""
        if not due(now, 0, self.settings.settled, self.settings.every):
            return None
        error, size = self._errors(now), torch.bincount(self.group, minlength=len(self.anchors))
        mean = torch.zeros(len(size)).index_add_(0, self.group, error) / size.clamp(min=1)
        order = mean.argsort(descending=True, stable=True)
        order = order[size[order] > 0]
        share = int(self.settings.moved * len(order))
        givers = torch.isin(self.group, order[len(order) - share :])
        takers = torch.isin(self.group, order[:share])
        fewer, belongs = self._fewer(givers, seeded(now.generator))
        room = int(givers.sum()) - len(belongs)
        wanted = min(room, round(self.settings.more * int(takers.sum())))
        split = torch.where(takers, error, -1.0).argsort(descending=True, stable=True)[:wanted]
        if not wanted:
            return None
        keep = ~givers
        keep[split] = False
        more = halves(self.prototypes.select(split).detach(), now.generator)
        new = Gaussians.merge([more, *fewer])
        self._rebuild(keep, new, torch.cat([self.group[split].repeat(2), belongs]))
        return f"{wanted} prototypes to where the error is"

    def _errors(self, now: Refinement) -> Tensor:
        """What each prototype [P] has to do with wrong pixels."""
        error = torch.zeros(len(self.group))
        places = now.some_views(self.settings.views)
        for look in map(now.views.look, places):
            error += splat_scores(look.meta, look.error[None]).error[0]
        return error

    def _fewer(self, givers: Tensor, rng: np.random.Generator) -> tuple[list[Gaussians], Tensor]:
        """Prototypes of the prototypes in the groups of the mask ``givers`` [P], and their groups."""
        made, belongs = [], [self.group[:0]]
        for group in sorted(set(self.group[givers].tolist())):
            old = self.prototypes.select(self.group == group).detach()
            count = max(len(old) - max(round(self.settings.more * len(old)), 1), 1)
            made.append(prototypes_of(old, old.importance, count, rng))
            belongs.append(torch.full((len(made[-1]),), group))
        return made, torch.cat(belongs)

    def _rebuild(self, keep: Tensor, new: Gaussians, belongs: Tensor) -> None:
        self.rebuilt += 1
        self.prototypes = leaves(self.prototypes.select(keep).append(new))
        self.group = torch.cat([self.group[keep], belongs])
        self.rows.select(keep)
        self.rows.append(len(new))
        self.rows.params = self.prototypes.tensors()
        self.changed()


def gathered(means: Floats, anchors: Floats, fewest: int) -> tuple[Floats, Ints]:
    """Anchors that have at least ``fewest`` of the ``means`` [N, 3] nearest to them, and each mean's [N].

    Of those with too few, the half with the fewest goes, until none has or one is left.
    """
    while True:
        nearest = cKDTree(anchors).query(means)[1].astype(np.int64)
        counts = np.bincount(nearest, minlength=len(anchors))
        few = np.flatnonzero(counts < fewest)
        if not len(few) or len(anchors) == 1:
            return anchors, nearest
        gone = few[np.argsort(counts[few], kind="stable")][: min((len(few) + 1) // 2, len(anchors) - 1)]
        anchors = np.delete(anchors, gone, 0)


def painted(count: int, now: Refinement) -> Tensor:
    """How much of the training photos each of ``count`` Gaussians paints [N]: the sum of its weights."""
    weight = torch.zeros(count)
    for look in map(now.views.look, range(len(now.views))):
        weight += splat_scores(look.meta).weight[0]
    return weight
