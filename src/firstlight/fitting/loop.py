"""A fit and its step: render a photo, compare, move, and now and then let the density strategy work."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.density import Look, Refinement
from firstlight.fitting._dilation import Lattice
from firstlight.fitting._dropout import dropped, without
from firstlight.fitting._exposure import Exposure
from firstlight.fitting.cameras import MovingCameras, reach_of, size_of
from firstlight.fitting.memory import keep_freed
from firstlight.fitting.model import Model, PlainModel, under
from firstlight.fitting.pictures import Pictures, as_tensors
from firstlight.fitting.recipe import Recipe
from firstlight.fitting.terms import Rendered, View
from firstlight.losses import depth_l1, psnr
from firstlight.render import BLUR, near_for, render_camera
from firstlight.scene import Cameras, Capture, Gaussians
from firstlight.starts import thinned_out

OPAQUE = 4.6  # logit of 0.99


class Outcome(NamedTuple):
    """What one step saw."""

    loss: float
    psnr: float  # of the photo of this step; NaN where it was not asked for
    width: int
    height: int


class _Sight(NamedTuple):
    """What one step compares with."""

    camera: Cameras
    photo: Tensor  # [H, W, 3] uint8
    mask: Tensor | None  # [H, W] uint8
    depth: Tensor | None  # [H, W] measured
    blur: float = BLUR  # that a pixel adds to splats, square pixels


class Fit:
    """Everything that changes from step to step, and the step itself."""

    def __init__(self, capture: Capture, recipe: Recipe, train: list[int], seed: int) -> None:
        assert capture.cameras is not None
        keep_freed()
        self.recipe = recipe
        self.train = train
        self.seen = capture.select(train)  # what it may look at
        self.pictures = Pictures(capture)
        self.extent = size_of(self.seen)
        self.near = near_for(self.extent)
        self.background = None if capture.background is None else torch.tensor(capture.background)
        self.generator = torch.Generator().manual_seed(seed)
        self.exposure = Exposure(len(capture)) if recipe.exposure else None
        self.cameras = MovingCameras(capture.cameras) if recipe.cameras else None
        self.order = torch.zeros(0, dtype=torch.long)
        self.memory: dict[str, Tensor] = {}  # of the losses, about rows of Gaussians
        self.lasting: dict[str, Tensor] = {}  # of the losses, about anything else
        self.stopping: dict[str, Tensor] = {}
        self.begun: Gaussians | None = None  # the start, where the recipe is guided by it
        self.done = 0
        self.twin: Fit | None = None
        self.other: Fit | None = None  # the twin's, or the one whose twin this is
        if recipe.co_training is not None:
            self.twin = self.other = Fit(capture, replace(recipe, co_training=None), train, seed + 1)
            self.twin.other = self
        self.model: Model
        self.represented = False  # by what the recipe optimises in the place of plain Gaussians

    def begin(self) -> None:
        """Place the first Gaussians."""
        gaussians = self.recipe.start(self.seen, self.generator)
        if self.recipe.max_gaussians is not None:
            gaussians = thinned_out(gaussians, self.recipe.max_gaussians, self.generator)
        if self.recipe.guided:
            self.begun = replace(gaussians.clone(), logit_opacities=torch.full((len(gaussians),), OPAQUE))
        self.model = PlainModel(gaussians.with_degree(self.recipe.sh_degree), self.recipe.density)
        if self.cameras is not None and self.seen.cameras is not None:
            self.cameras.reach.fill_(reach_of(self.seen.cameras, gaussians.means))
        self._represent()
        if self.twin is not None:
            self.twin.begin()

    def _represent(self) -> None:
        """Put what the recipe optimises in the place of plain Gaussians, once it is time."""
        wanted = self.recipe.representation
        if wanted is None or self.represented or self.done < wanted.after * self.recipe.steps:
            return
        rate = self.recipe.rates.at(self.done / self.recipe.steps, self.extent)["means"]
        self.model = wanted.begin(self.model.gaussians.detach(), self.seen, self._refinement(rate))
        self.represented = True
        self.memory.clear()

    def follow(self, recipe: Recipe) -> None:
        """Go on with the same recipe for another number of steps."""
        self.recipe = recipe
        if self.twin is not None:
            self.twin.follow(replace(self.twin.recipe, steps=recipe.steps))

    @property
    def over(self) -> bool:
        """Whether there is no next step."""
        return self.done >= self.recipe.steps or bool(self.stopping.get("over", False))

    def camera(self, index: int, scale: float = 1.0) -> Cameras:
        """Where the camera of photo ``index`` stands now."""
        camera = self.pictures.camera(index, scale)
        return camera if self.cameras is None else self.cameras.place(camera, index)

    @property
    def training(self) -> Cameras:
        """The cameras of all training photos, where they stand now."""
        cameras = self.pictures.cameras if self.cameras is None else self.cameras.on(self.pictures.cameras)
        return cameras.select(self.train)

    def render(
        self, camera: Cameras, gaussians: Gaussians, depth: bool = False, blur: float = BLUR
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """``render_camera`` with what the recipe says about now."""
        return render_camera(
            gaussians,
            camera,
            sh_degree=self.recipe.sh_degree_at(self.done / self.recipe.steps),
            background=self.background,
            antialiased=self.recipe.antialiased,
            depth=depth,
            blur=blur,
            near=self.near,
        )

    def look(self, index: int, camera: Cameras, exposed: bool = True) -> Rendered:
        """The present Gaussians from any camera, ``exposed`` as photo ``index`` is or as they are."""
        colors, alpha, _ = self.render(camera, self.model.gaussians, depth=True)
        rgb = colors[..., :3]
        if exposed and self.exposure is not None:
            rgb = self.exposure.apply(rgb, index)
        return Rendered(rgb, alpha, colors[..., 3])

    def look_back(self, gaussians: Gaussians, camera: Cameras) -> Rendered:
        """What ``gaussians``, which no exposure belongs to, show from any camera."""
        colors, alpha, _ = render_camera(
            gaussians, camera, background=self.background, depth=True, near=self.near
        )
        return Rendered(colors[..., :3], alpha, colors[..., 3])

    def step(self, look: bool = False) -> Outcome:
        """One photo, one update. ``look`` asks for the PSNR of the photo."""
        recipe, fraction = self.recipe, self.done / self.recipe.steps
        view, meta = self._view(self._next_photo(), fraction)
        loss = torch.stack([term(view) for term in recipe.losses]).sum()
        self.model.zero_grad()
        meta["means2d"].retain_grad()  # density control goes by it
        loss.backward()  # type: ignore[no-untyped-call]
        rates = recipe.rates.at(fraction, self.extent)
        self._update(view, meta, rates)
        self.done += 1
        if recipe.stop is not None and view.depth is not None and view.measured_depth is not None:
            difference = depth_l1(view.depth.detach(), view.measured_depth, view.mask)
            recipe.stop.observe(self.stopping, difference, self.done, recipe.steps)
        rebuilt = self.model.rebuilt
        self.model.refine(self._refinement(rates["means"]))
        if self.model.rebuilt != rebuilt:
            self.memory.clear()
        self._represent()
        self._step_twin()
        quality = psnr(view.rendered, view.photo, view.mask) if look else math.nan
        height, width = view.alpha.shape
        return Outcome(float(loss.detach()), quality, width, height)

    def _view(self, index: int, fraction: float) -> tuple[View, dict[str, Any]]:
        """What the losses look at, and what the rasteriser says about it."""
        recipe = self.recipe
        sight = self._sight(index, recipe.scale_at(fraction), recipe.dilation_at(fraction))
        deep = recipe.sees_depth
        colors, alpha, meta = self.render(sight.camera, self._thinned(fraction), deep, sight.blur)
        rendered = colors[..., :3] if deep else colors
        if self.exposure is not None:
            rendered = self.exposure.apply(rendered, index)
        view = View(
            rendered,
            alpha,
            sight.photo,
            sight.mask,
            self.model.gaussians,
            fraction,
            index,
            sight.camera,
            self.extent,
            self.generator,
            partial(self.look, index),
            self.memory,
            depth=colors[..., 3] if deep else None,
            measured_depth=sight.depth,
            lasting=self.lasting,
            training=self.training,
            other=None if self.other is None else partial(self.other.look, index),
            begun=None if self.begun is None else partial(self.look_back, self.begun),
            background=self.background,
        )
        return view, meta

    def _update(self, view: View, meta: dict[str, Any], rates: dict[str, float]) -> None:
        """Move all that has a gradient."""
        self.model.observe(meta)
        self.model.step(meta["radii"][0, :, 0] > 0, rates)  # both radii are 0, or none
        if self.exposure is not None:
            self.exposure.step(view.index, self.recipe.rates.exposure)
        if self.cameras is not None and self.recipe.cameras is not None:
            self.cameras.step(view.index, self.recipe.cameras, view.fraction)

    def _step_twin(self) -> None:
        if self.twin is None or self.recipe.co_training is None:
            return
        self.twin.step()
        if isinstance(self.model, PlainModel) and isinstance(self.twin.model, PlainModel):
            self.recipe.co_training.prune(self.model, self.twin.model, self.done, self.recipe.steps)

    @torch.no_grad()
    def probe(self, indices: list[int]) -> float:
        """Mean PSNR over photos that it was not trained on; those that a mask ignores wholly have none."""
        values = []
        for index in indices:
            photo, mask = as_tensors(self.pictures.photos[index].decode())
            rendered, _, _ = self.render(self.camera(index), self.model.gaussians)
            values.append(psnr(rendered, photo, mask))
        return float(torch.tensor(values, dtype=torch.float64).nanmean())

    def _sight(self, index: int, scale: float, every: int) -> _Sight:
        camera = self.camera(index, scale)
        picture = self.pictures.at(index, scale)
        if self.recipe.mollification is not None:
            picture = self.recipe.mollification.apply(picture, self.done / self.recipe.steps)
        photo, mask = as_tensors(picture)
        depth = self.pictures.depth(index, scale) if self.recipe.sees_depth else None
        if every == 1:
            return _Sight(camera, photo, mask, depth)
        lattice = Lattice(every, self.generator)
        masked, deep = (None if one is None else lattice.of_picture(one) for one in (mask, depth))
        # What a pixel adds to a splat is still a full-size pixel's.
        return _Sight(lattice.of_camera(camera), lattice.of_picture(photo), masked, deep, BLUR / every**2)

    def _thinned(self, fraction: float) -> Gaussians:
        """The Gaussians that this step renders: all, or without those that dropout leaves out."""
        rate = self.recipe.dropout * fraction
        if rate == 0:
            return self.model.gaussians
        return dropped(self.model.gaussians, rate, self.generator)

    def _next_photo(self) -> int:
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.train), generator=self.generator)
        place, self.order = int(self.order[0]), self.order[1:]
        return self.train[place]

    def _refinement(self, means_rate: float) -> Refinement:
        return Refinement(
            step=self.done,
            steps=self.recipe.steps,
            extent=self.extent,
            means_rate=means_rate,
            white_background=self.background is not None and bool((self.background == 1).all()),
            generator=self.generator,
            views=_TrainingViews(self),
        )

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, by name."""
        exposure = {} if self.exposure is None else self.exposure.state()
        cameras = {} if self.cameras is None else self.cameras.state()
        return {
            **self.model.state(),
            **{f"exposure.{name}": tensor for name, tensor in exposure.items()},
            **{f"cameras.{name}": tensor for name, tensor in cameras.items()},
            **{f"memory.{name}": tensor for name, tensor in self.memory.items()},
            **{f"lasting.{name}": tensor for name, tensor in self.lasting.items()},
            **({} if self.begun is None else {f"begun.{k}": v for k, v in self.begun.tensors().items()}),
            **{f"stopping.{name}": tensor for name, tensor in self.stopping.items()},
            **({} if self.twin is None else {f"twin.{k}": v for k, v in self.twin.state().items()}),
            "random": self.generator.get_state(),
            "order": self.order,
            "represented": torch.tensor(self.represented),
        }

    def restore(self, step: int, state: dict[str, Tensor]) -> None:
        """The inverse of ``state``."""
        self.done = step
        self.represented = bool(state["represented"])
        if self.represented and self.recipe.representation is not None:
            self.model = self.recipe.representation.restore(state, self.seen)
        else:
            self.model = PlainModel.restore(state, self.recipe.density)
        self.memory = under("memory.", state)
        self.lasting = under("lasting.", state)
        self.stopping = under("stopping.", state)
        self.begun = Gaussians(**under("begun.", state)) if self.recipe.guided else None
        if self.exposure is not None:
            self.exposure.load(under("exposure.", state))
        if self.cameras is not None:
            self.cameras.load(under("cameras.", state))
        self.generator.set_state(state["random"])
        if self.twin is not None:
            self.twin.restore(step, under("twin.", state))
        self.order = state["order"]


@dataclass(frozen=True)
class _TrainingViews:
    """What density strategies see as ``Views``."""

    fit: Fit

    def __len__(self) -> int:
        return len(self.fit.train)

    @torch.no_grad()
    def look(self, place: int, keep: Tensor | None = None) -> Look:
        fit, index = self.fit, self.fit.train[place]
        gaussians = fit.model.gaussians
        if keep is not None:
            gaussians = without(gaussians, ~keep)
        scale = fit.recipe.scale_at(min(fit.done / fit.recipe.steps, 1.0))
        photo, mask = as_tensors(fit.pictures.at(index, scale))
        rendered, _, meta = fit.render(fit.camera(index, scale), gaussians)
        if fit.exposure is not None:
            rendered = fit.exposure.apply(rendered, index)
        return Look(rendered, photo, mask, meta)
