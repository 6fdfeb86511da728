"""GaussianForest: Hierarchical-Hybrid 3D Gaussian Splatting for Compressed Scene Modeling (2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.density import Refinement, drawn_from, mean_gradient, nothing_seen, watch
from firstlight.density.strategy import due, scaled
from firstlight.files import FOREST_FILE, write_forest
from firstlight.fitting import DecodedModel, NetworkAdam, VisibleAdam
from firstlight.fitting.model import under
from firstlight.representations._kmeans import kmeans, parts, seeded
from firstlight.representations._prototypes import log_covariances
from firstlight.scene import Capture, Gaussians
from firstlight.scene.forest import WAVE_WIDTH, Forest, Network

LEAVES = ("means", "logit_opacities")


@dataclass(frozen=True)
class Trees:
    """From ``after`` on, Gaussians are the leaves of trees that share features of their branches and roots.

    Trees are found by K-means of places and colours. Networks and features first learn what the Gaussians
    were like (``taught`` steps without pictures), then all is trained by photos. In the first half of the
    steps leaves are cloned where the screen gradient of their branch is high; a branch whose leaves differ
    much in that is doubled and its leaves are dealt to both, and so is a root at twice the gradient; faint
    leaves go. The paper's abstract says this much; sizes and numbers are our own, and so is the teaching.
    """

    after: float = 0.1
    max_gaussians: int = 200_000
    leaves_a_branch: int = 8
    branches_a_root: int = 8
    branch_width: int = 16
    root_width: int = 32
    hidden: int = 32
    colour_weight: float = 0.3  # of colours beside places over the scene's extent, for K-means
    taught: int = 300
    grow_gradient: float = 2e-4  # of a branch's leaves; NDC units
    min_opacity: float = 0.005
    stop: int = 15_000  # as in ``Vanilla``
    every: int = 100

    def limited(self, most: int) -> Trees:
        return replace(self, max_gaussians=most)

    def begin(self, gaussians: Gaussians, capture: Capture, now: Refinement) -> ForestModel:
        forest = planted(self, gaussians, now.extent, now.generator)
        with torch.enable_grad():
            teach(forest, gaussians, self.taught)
        return ForestModel(self, forest)

    def restore(self, state: dict[str, Tensor], capture: Capture) -> ForestModel:
        model = ForestModel(self, Forest.of(under("forest.", state)))
        for name, optimizer in model.optimizers.items():
            optimizer.load(under(f"{name}.", state))
        model.network.load(under("network.", state))
        model.noted = under("noted.", state)
        return model


class ForestModel(DecodedModel):
    """A forest under optimisation."""

    def __init__(self, settings: Trees, forest: Forest) -> None:
        super().__init__()
        self.settings = settings
        self.noted = nothing_seen(len(forest))
        self._become(forest)
        f = self.forest
        self.optimizers = {
            "leaves": VisibleAdam({name: getattr(f, name) for name in LEAVES}),
            "branches": VisibleAdam({"features": f.branches}),
            "roots": VisibleAdam({"features": f.roots}),
        }
        self.network = NetworkAdam(f.weights())

    def _become(self, forest: Forest) -> None:
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in forest.tensors().items()}
        self.forest = Forest.of(tensors)
        for tensor in self.parameters().values():
            tensor.requires_grad_()

    def parameters(self) -> dict[str, Tensor]:
        fixed = ("branch", "root", "places", "units")
        return {name: tensor for name, tensor in self.forest.tensors().items() if name not in fixed}

    def decode(self) -> Gaussians:
        return self.forest.gaussians()

    def observe(self, meta: dict[str, Any]) -> None:
        watch(self.noted, meta)

    def update(self, visible: Tensor, rates: dict[str, float]) -> None:
        forest = self.forest
        branches = _touched(visible, forest.branch, len(forest.branches))
        self.optimizers["leaves"].step(visible, rates)
        self.optimizers["branches"].step(branches, rates)
        self.optimizers["roots"].step(_touched(branches, forest.root, len(forest.roots)), rates)
        self.network.step(rates["network"])

    @torch.no_grad()
    def refine(self, now: Refinement) -> str | None:
        settings = self.settings
        if now.step >= scaled(settings.stop, now.steps):
            self.noted.clear()
            return None
        if not due(now, 0, settings.stop, settings.every) or not self.noted:
            return None
        forest, gaussians = self.forest, self.gaussians.detach()
        gradient = mean_gradient(self.noted)
        on_branch = spread(gradient, forest.branch, len(forest.branches))
        on_root = spread(on_branch.mean, forest.root, len(forest.roots))
        gone = gaussians.opacities < settings.min_opacity
        if gone.all():  # a scene of nothing could never recover
            gone = torch.zeros_like(gone)
        high = on_branch.mean >= settings.grow_gradient
        wanted = high[forest.branch] & (gradient >= on_branch.mean[forest.branch]) & ~gone
        room = max(settings.max_gaussians - int((~gone).sum()), 0)
        clones = torch.where(wanted, gradient, -1.0).argsort(descending=True, stable=True)
        clones = clones[: min(room, int(wanted.sum()))]
        branch, from_branch = dealt(forest.branch, gradient, on_branch, high & on_branch.uneven)
        high_roots = (on_root.mean >= 2 * settings.grow_gradient) & on_root.uneven
        root, from_root = dealt(forest.root, on_branch.mean, on_root, high_roots)
        parents = gaussians.select(clones)
        normal = torch.randn(len(clones), 3, generator=now.generator)
        means = drawn_from(parents.means, parents.quats, parents.scales, normal)
        keep = (~gone).nonzero().squeeze(1)
        self._replant(keep, clones, means, branch, from_branch, root[from_branch], from_root)
        return f"+{len(clones)} −{int(gone.sum())}"

    def _replant(
        self,
        keep: Tensor,
        clones: Tensor,
        means: Tensor,
        branch: Tensor,
        from_branch: Tensor,
        root: Tensor,
        from_root: Tensor,
    ) -> None:
        """The leaves ``keep``, then ``clones`` at ``means``; branches and roots are copies of those that
        ``from_branch`` and ``from_root`` name, without those that nothing is on."""
        forest, optimizers = self.forest, self.optimizers
        used, on = torch.unique(torch.cat([branch[keep], branch[clones]]), return_inverse=True)
        sources = from_branch[used]
        used_roots, of = torch.unique(root[used], return_inverse=True)
        root_sources = from_root[used_roots]
        self._become(
            replace(
                forest,
                means=torch.cat([forest.means[keep], means]),
                logit_opacities=torch.cat([forest.logit_opacities[keep], forest.logit_opacities[clones]]),
                branch=on,
                branches=forest.branches[sources],
                root=of,
                roots=forest.roots[root_sources],
                places=forest.places[root_sources],
                units=forest.units[root_sources],
            )
        )
        optimizers["leaves"].select(keep)
        optimizers["leaves"].append(len(clones))
        optimizers["branches"].select(sources)
        optimizers["roots"].select(root_sources)
        optimizers["leaves"].params = {name: getattr(self.forest, name) for name in LEAVES}
        optimizers["branches"].params = {"features": self.forest.branches}
        optimizers["roots"].params = {"features": self.forest.roots}
        self.network.params = self.forest.weights()
        self.noted.update(nothing_seen(len(self.forest)))
        self.rebuilt += 1
        self.changed()

    def state(self) -> dict[str, Tensor]:
        return {
            **{f"forest.{name}": tensor.detach() for name, tensor in self.forest.tensors().items()},
            **{f"{k}.{name}": t for k, o in self.optimizers.items() for name, t in o.state().items()},
            **{f"network.{name}": tensor for name, tensor in self.network.state().items()},
            **{f"noted.{name}": tensor for name, tensor in self.noted.items()},
        }

    def save(self, folder: Path) -> None:
        write_forest(self.forest, folder / FOREST_FILE)


class Spread(NamedTuple):
    """Of the values in each group [G]."""

    mean: Tensor
    uneven: Tensor  # whether there are several and their standard deviation is more than their mean


def spread(values: Tensor, group: Tensor, count: int) -> Spread:
    """Of ``values`` [N] ≥ 0 in ``count`` groups [N]."""
    size = torch.bincount(group, minlength=count)
    mean = torch.zeros(count).index_add_(0, group, values) / size.clamp(min=1)
    squares = torch.zeros(count).index_add_(0, group, (values - mean[group]) ** 2)
    return Spread(mean, (size > 1) & ((squares / size.clamp(min=1)).sqrt() > mean))


def dealt(group: Tensor, values: Tensor, over: Spread, doubled: Tensor) -> tuple[Tensor, Tensor]:
    """Groups ``doubled`` [G], their members above the mean in the copy: groups [N], and whose copies [G′]."""
    copies = doubled.nonzero().squeeze(1)
    copy_of = torch.full((len(doubled),), -1).index_copy_(0, copies, len(doubled) + torch.arange(len(copies)))
    apart = doubled[group] & (values >= over.mean[group])
    return torch.where(apart, copy_of[group], group), torch.cat([torch.arange(len(doubled)), copies])


def planted(settings: Trees, gaussians: Gaussians, extent: float, generator: torch.Generator) -> Forest:
    """Trees over ``gaussians`` by K-means, with networks that know nothing yet but the mean."""
    rng = seeded(generator)
    points = torch.cat([gaussians.means / extent, settings.colour_weight * gaussians.sh[:, 0]], 1)
    xyz = points.double().numpy()
    groups = parts(xyz, settings.leaves_a_branch * settings.branches_a_root, rng)
    branch = torch.empty(len(xyz), dtype=torch.long)
    root, places, units = list[int](), list[Tensor](), list[Tensor]()
    for number, rows in enumerate(groups):
        weights = torch.ones(len(rows)).double().numpy()
        label = kmeans(xyz[rows], weights, -(-len(rows) // settings.leaves_a_branch), rng)
        used, place = torch.unique(torch.from_numpy(label), return_inverse=True)
        branch[torch.from_numpy(rows)] = len(root) + place
        root += [number] * len(used)
        means = gaussians.means[torch.from_numpy(rows)]
        places.append(means.mean(0))
        units.append((means - places[-1]).norm(dim=1).square().mean().sqrt())
    size = torch.stack(units).clamp(min=1e-3 * extent)

    def random(count: int, width: int) -> Tensor:
        return 0.1 * torch.randn(count, width, generator=generator)

    known = settings.branch_width + settings.root_width + WAVE_WIDTH
    tree_of = torch.tensor(root)
    scales = gaussians.log_scales - size[tree_of[branch], None].log()
    return Forest(
        means=gaussians.means,
        logit_opacities=gaussians.logit_opacities,
        branch=branch,
        branches=random(len(root), settings.branch_width),
        root=tree_of,
        roots=random(len(groups), settings.root_width),
        places=torch.stack(places),
        units=size,
        shape=network(known, settings.hidden, torch.cat([scales.mean(0), torch.zeros(4)]), generator),
        colour=network(known, settings.hidden, gaussians.sh.mean(0).flatten(), generator),
    )


def network(width: int, hidden: int, mean: Tensor, generator: torch.Generator) -> Network:
    """Two hidden layers, orthogonal with the rectifier's gain; what comes out at first is near ``mean``."""
    sizes = ((hidden, width, 2**0.5), (hidden, hidden, 2**0.5), (len(mean), hidden, 0.1))
    layers: list[Tensor] = []
    for out, into, gain in sizes:
        weight = torch.nn.init.orthogonal_(torch.empty(out, into), gain, generator)
        layers += [weight, torch.zeros(out)]
    layers[-1] = mean.detach().clone()
    return tuple(layers)


def teach(forest: Forest, gaussians: Gaussians, steps: int, rate: float = 1e-2) -> None:
    """Fit features and networks of ``forest``, in place, to the shapes and colours of its leaves."""
    params = {"branches": forest.branches, "roots": forest.roots, **forest.weights()}
    for tensor in params.values():
        tensor.requires_grad_()
    adam, logs = NetworkAdam(params), log_covariances(gaussians)
    for step in range(steps):
        made = forest.gaussians()
        off = (log_covariances(made) - logs).square().mean() + (made.sh - gaussians.sh).square().mean()
        for tensor in params.values():
            tensor.grad = None
        torch.autograd.backward(off)
        adam.step(rate * (1 - step / steps))


def _touched(members: Tensor, group: Tensor, count: int) -> Tensor:
    """Groups [count] of which some member of the mask ``members`` is set."""
    return torch.zeros(count, dtype=torch.bool).index_fill_(0, group[members], True)
