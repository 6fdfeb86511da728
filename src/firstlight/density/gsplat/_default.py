"""Adaptive density control (Kerbl et al. 2023) with gsplat's interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from firstlight.density._screen import ndc_norms
from firstlight.density.gsplat import ops
from firstlight.density.gsplat._base import Strategy
from firstlight.density.gsplat._surgery import Optimizers, Params


@dataclass
class DefaultStrategy(Strategy):
    """Clone small and split large Gaussians where the screen gradient is high, remove the faint and the huge.

    The strategy of 3D Gaussian Splatting (Kerbl et al. 2023, section 5.2). Steps are steps: unlike the
    strategies of firstlight's own recipes, nothing scales with the length of the fit.

    prune_opa: below this opacity a Gaussian is removed; resets lower opacities to twice this.
    grow_grad2d: mean gradient norm at the 2D mean (NDC units) above which it grows; with ``absgrad`` 8e-4.
    grow_scale3d: longest standard deviation over ``scene_scale`` up to which it is cloned, else split.
    grow_scale2d, prune_scale2d: radius over the picture's longer side above which it is split, removed.
    prune_scale3d: over ``scene_scale``; longer ones are removed, after the first ``reset_every`` steps.
    refine_scale2d_stop_iter: radii on the screen count before this step; 0, never.
    refine_start_iter, refine_stop_iter, refine_every: when to refine, both ends exclusive.
    reset_every: steps between opacity resets.
    pause_refine_after_reset: steps after a reset in which nothing is refined.
    absgrad: go by ``.absgrad`` (AbsGS, Ye et al. 2024): ask ``rasterization`` for it too.
    revised_opacity: halves of a split share the opacity (Rota Bulò et al. 2024).
    key_for_gradient: whose gradient, in ``info``; 2D Gaussians have ``gradient_2dgs``.
    """

    prune_opa: float = 0.005
    grow_grad2d: float = 0.0002
    grow_scale3d: float = 0.01
    grow_scale2d: float = 0.05
    prune_scale3d: float = 0.1
    prune_scale2d: float = 0.15
    refine_scale2d_stop_iter: int = 0
    refine_start_iter: int = 500
    refine_stop_iter: int = 15_000
    reset_every: int = 3000
    refine_every: int = 100
    pause_refine_after_reset: int = 0
    absgrad: bool = False
    revised_opacity: bool = False
    verbose: bool = False
    key_for_gradient: Literal["means2d", "gradient_2dgs"] = "means2d"

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        """The state to pass to every step; ``scene_scale`` is the size of the scene, its units."""
        state: dict[str, Any] = {"grad2d": None, "count": None, "scene_scale": scene_scale}
        if self.refine_scale2d_stop_iter > 0:
            state["radii"] = None
        return state

    def step_pre_backward(
        self, params: Params, optimizers: Optimizers, state: dict[str, Any], step: int, info: dict[str, Any]
    ) -> None:
        """Before ``loss.backward()``: ask for the gradient that growth goes by."""
        _require(info, self.key_for_gradient)
        info[self.key_for_gradient].retain_grad()

    def step_post_backward(
        self,
        params: Params,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        packed: bool = False,
    ) -> None:
        """After ``loss.backward()``; ``step`` counts from 0, ``packed`` as ``rasterization`` was told."""
        if step >= self.refine_stop_iter:
            return
        self._observe(params, state, info, packed)
        if (
            step > self.refine_start_iter
            and step % self.refine_every == 0
            and step % self.reset_every >= self.pause_refine_after_reset
        ):
            self._refine(params, optimizers, state, step)
        if step % self.reset_every == 0 and step > 0:
            ops.reset_opa(params, optimizers, state, value=2 * self.prune_opa)

    @torch.no_grad()
    def _observe(self, params: Params, state: dict[str, Any], info: dict[str, Any], packed: bool) -> None:
        """Add this step's gradients to the running sums, a Gaussian once for each image that shows it."""
        _require(info, "width", "height", "n_cameras", "radii", "gaussian_ids", self.key_for_gradient)
        for key in ("grad2d", "count", *(("radii",) if "radii" in state else ())):
            if state[key] is None:
                state[key] = torch.zeros(len(params["means"]), device=params["means"].device)
        source = info[self.key_for_gradient]
        gradient = source.absgrad if self.absgrad else source.grad
        if gradient is None:
            return
        radii: Tensor = info["radii"]  # [..., C, N, 2], or [nnz, 2] when packed
        if packed:
            ids = info["gaussian_ids"].long()
        else:
            visible = (radii > 0).all(-1)
            ids, gradient, radii = visible.nonzero()[:, -1], gradient[visible], radii[visible]
        norms = ndc_norms(gradient, info["width"], info["height"], info["n_cameras"])
        state["grad2d"].index_add_(0, ids, norms.to(state["grad2d"].dtype))
        state["count"].index_add_(0, ids, torch.ones_like(norms, dtype=state["count"].dtype))
        if "radii" in state:
            share = radii.amax(-1).to(state["radii"].dtype) / max(info["width"], info["height"])
            state["radii"].scatter_reduce_(0, ids, share, "amax")

    @torch.no_grad()
    def _refine(self, params: Params, optimizers: Optimizers, state: dict[str, Any], step: int) -> None:
        cloned, halved = self._grow(params, optimizers, state, step)
        grown = len(params["means"])
        removed = self._prune(params, optimizers, state, step)
        if self.verbose:
            print(f"Step {step}: {cloned} GSs duplicated, {halved} GSs split. Now having {grown} GSs.")
            print(f"Step {step}: {removed} GSs pruned. Now having {len(params['means'])} GSs.")
        for key in ("grad2d", "count", "radii"):
            if key in state:
                state[key].zero_()

    def _grow(
        self, params: Params, optimizers: Optimizers, state: dict[str, Any], step: int
    ) -> tuple[int, int]:
        wanted = state["grad2d"] / state["count"].clamp(min=1) > self.grow_grad2d
        small = params["scales"].amax(-1).exp() <= self.grow_scale3d * state["scene_scale"]
        clone, halve = wanted & small, wanted & ~small
        if step < self.refine_scale2d_stop_iter:
            halve |= state["radii"] > self.grow_scale2d
        cloned, halved = int(clone.sum()), int(halve.sum())
        if cloned:
            ops.duplicate(params, optimizers, state, clone)
        if halved:
            halve = torch.cat([halve, halve.new_zeros(cloned)])  # copies are not split in the same turn
            ops.split(params, optimizers, state, halve, self.revised_opacity)
        return cloned, halved

    def _prune(self, params: Params, optimizers: Optimizers, state: dict[str, Any], step: int) -> int:
        gone = params["opacities"].flatten().sigmoid() < self.prune_opa
        if step > self.reset_every:
            gone |= params["scales"].amax(-1).exp() > self.prune_scale3d * state["scene_scale"]
            if step < self.refine_scale2d_stop_iter:
                gone |= state["radii"] > self.prune_scale2d
        removed = int(gone.sum())
        if removed:
            ops.remove(params, optimizers, state, gone)
        return removed


def _require(info: dict[str, Any], *keys: str) -> None:
    """AssertionError, as in gsplat, where ``rasterization`` did not return what is needed."""
    missing = [key for key in keys if key not in info]
    if missing:
        raise AssertionError(f"info lacks {', '.join(missing)}: pass what rasterization() returned")
