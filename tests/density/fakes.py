"""A stand-in for Gaussians under optimisation: the simplest thing that keeps rows and moments together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from firstlight.density import Look, Refinement, Strategy
from firstlight.scene import Gaussians


class FakeTrainable:
    """Moments are numbered by row to begin with, so that a test sees where each went."""

    def __init__(self, gaussians: Gaussians) -> None:
        self.gaussians = Gaussians(*(tensor.clone().requires_grad_() for tensor in gaussians))
        self.moments = {
            name: torch.arange(1.0, len(gaussians) + 1) for name in gaussians.tensors()
        }  # [N] each: one number stands for a row's moments

    @torch.no_grad()
    def rebuild(self, keep: Tensor, new: Gaussians | None = None) -> None:
        kept = self.gaussians.select(keep)
        added = 0 if new is None else len(new)
        both = kept if new is None else kept.append(new)
        self.gaussians = Gaussians(*(tensor.detach().requires_grad_() for tensor in both))
        self.moments = {name: torch.cat([m[keep], torch.zeros(added)]) for name, m in self.moments.items()}

    @torch.no_grad()
    def assign(self, rows: Tensor, values: dict[str, Tensor], forget: bool = True) -> None:
        assert len(rows.unique()) == len(rows), "a row was given two values"  # type: ignore[no-untyped-call]
        for name, value in values.items():
            self.gaussians.tensors()[name][rows] = value
            if forget:
                self.moments[name][rows] = 0


class FakeViews:
    """``looks`` in place of renderings."""

    def __init__(self, *looks: Look) -> None:
        self.looks = looks

    def __len__(self) -> int:
        return len(self.looks)

    def look(self, place: int) -> Look:
        return self.looks[place]


def context(step: int, steps: int = 30_000, seed: int = 0, **more: Any) -> Refinement:
    settings: dict[str, Any] = {
        "extent": 1.0,
        "means_rate": 1.6e-4,
        "white_background": False,
        "views": FakeViews(),
    } | more
    return Refinement(step, steps, generator=torch.Generator().manual_seed(seed), **settings)


def round_gaussians(
    count: int, opacity: float = 0.5, scale: float = 0.005, degree: int = 1, seed: int = 0
) -> Gaussians:
    """Round ones at random places, of random colours."""
    generator = torch.Generator().manual_seed(seed)
    means, rgb = torch.randn(2, count, 3, generator=generator)
    scene = Gaussians.isotropic(means, rgb, torch.full((count,), scale), opacity, degree)
    scene.quats = torch.randn(count, 4, generator=generator)
    return scene


def meta(
    gradient: Tensor, visible: Tensor | None = None, width: int = 200, height: int = 100
) -> dict[str, Any]:
    """What a rasteriser returns, for pixel gradients [C, N, 2] and a mask [C, N] of what it drew."""
    means2d = torch.zeros_like(gradient, requires_grad=True)
    means2d.grad = gradient
    if visible is None:
        visible = torch.ones(gradient.shape[:2], dtype=torch.bool)
    radii = visible[..., None].int().expand(*visible.shape, 2) * 3
    return {"means2d": means2d, "radii": radii, "width": width, "height": height}


def refined_at(strategy: Strategy, steps: int, word: str, **more: Any) -> list[int]:
    """The steps of a fit at which ``refine`` says ``word``."""
    trainable = FakeTrainable(round_gaussians(3))
    state = strategy.initialize(3)
    now = context(0, steps, **more)
    said = ((s, strategy.refine(trainable, state, replace(now, step=s))) for s in range(1, steps + 1))
    return [step for step, words in said if words and word in words]


def logit(p: float) -> float:
    return math.log(p / (1 - p))
