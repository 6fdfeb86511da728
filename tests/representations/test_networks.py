"""Fits of networks that Gaussians are decoded from: PointGS and CoherentGS."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast, get_args

import numpy as np
import pytest
import torch

from firstlight.capture import load_demo
from firstlight.density import Refinement
from firstlight.errors import InputError
from firstlight.fitting import DecodedModel, Fit
from firstlight.geometry import Effort, Stereo, densify
from firstlight.pipeline import prepare
from firstlight.recipes import get_recipe
from firstlight.representations._attention import attend
from firstlight.representations._weights import Weights
from firstlight.representations.coherentgs import (
    CoherentGs,
    CoherentModel,
    pairs_of,
    ranges,
    roughness,
    sheets_of,
)
from firstlight.representations.pointgs import Attention, PointGs, PointGsModel, coded, sightings
from firstlight.scene import Cameras, Capture, Gaussians, Photo, Picture
from firstlight.scene.neighbours import nearest
from firstlight.starts import PixelStart, pixel_grids
from tests.scenes import random_gaussians

TRAIN = [0, 1, 2]


@pytest.fixture(scope="module")
def demo() -> Capture:
    """Three photos that overlap, with stereo's depth."""
    capture = prepare(load_demo(with_cameras=True).select([8, 11, 14]), 64)
    return densify(capture, Stereo(Effort()), max_size=64)


def begun(name: str, capture: Capture, seed: int = 0, **settings) -> Fit:
    recipe = get_recipe(name)
    assert isinstance(recipe.representation, PointGs | CoherentGs)
    representation = replace(recipe.representation, **settings)
    fit = Fit(capture, replace(recipe, representation=representation, steps=40), TRAIN, seed)
    fit.begin()
    return fit


@pytest.mark.parametrize(("name", "model"), [("pointgs", PointGsModel), ("coherentgs", CoherentModel)])
@pytest.mark.parametrize("weights", get_args(Weights))
def test_a_fit_begins_where_the_start_stands_and_is_decided_by_its_seed(name, model, weights, demo) -> None:
    fit, again, other = (begun(name, demo, seed, most=400, weights=weights) for seed in (0, 0, 1))
    assert isinstance(fit.model, model) and len(fit.model) <= 400
    base, now = fit.model.base, fit.model.gaussians.detach()
    size = (base.means - base.means.mean(0)).norm(dim=-1).median()
    assert float((now.means - base.means).norm(dim=-1).median()) < 0.03 * size
    assert all(torch.equal(a, b) for a, b in zip(now, again.model.gaussians, strict=True))
    assert not torch.equal(now.logit_opacities, other.model.gaussians.logit_opacities)


@pytest.mark.parametrize("name", ["pointgs", "coherentgs"])
def test_a_resumed_fit_is_the_unbroken_one(name: str, demo: Capture) -> None:
    fit = begun(name, demo, most=400)
    for _ in range(8):
        fit.step()
    state = {key: tensor.clone() for key, tensor in fit.state().items()}
    resumed = Fit(demo, fit.recipe, TRAIN, 0)
    resumed.restore(8, state)
    for one in (fit, resumed):
        for _ in range(3):
            one.step()
    assert all(torch.equal(a, b) for a, b in zip(fit.model.gaussians, resumed.model.gaussians, strict=True))


def test_a_start_with_one_gaussian_is_too_few(demo: Capture) -> None:
    with pytest.raises(InputError, match="the start gave 1"):
        PointGs().begin(random_gaussians(1), demo, cast(Refinement, None))


def test_all_that_is_learned_gets_a_gradient(demo: Capture) -> None:
    for name in ("pointgs", "coherentgs"):
        fit = begun(name, demo, most=400)
        fit.step()
        assert isinstance(fit.model, DecodedModel)
        missing = [key for key, p in fit.model.parameters().items() if p.grad is None or not p.grad.any()]
        # At degree 0 the rest of the harmonics is not in the picture, but its row of a matrix is.
        assert missing == [], name


def test_attention_over_alike_neighbours_adds_what_each_of_them_would() -> None:
    torch.manual_seed(0)
    attention, features = Attention(8).double(), torch.randn(1, 8).double().expand(5, 8)
    around = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]])
    offsets = torch.zeros(5, 3, 15).double()
    many, one = attention(features, around, offsets), attention(features, around[:, :1], offsets[:, :1])
    torch.testing.assert_close(many, one)


def test_attention_does_not_depend_on_the_order_of_neighbours_but_on_where_they_stand() -> None:
    torch.manual_seed(0)
    attention, features = Attention(8).double(), torch.randn(20, 8).double()
    points = torch.randn(20, 3).double()
    around = nearest(points, 4)
    offsets = coded(points[around] - points[:, None])
    turned = torch.tensor([2, 0, 3, 1])
    found = attention(features, around, offsets)
    torch.testing.assert_close(attention(features, around[:, turned], offsets[:, turned]), found)
    assert not torch.allclose(attention(features, around, offsets[:, turned]), found)


def attend_twin(
    pairs: torch.Tensor, query: torch.Tensor, asked: torch.Tensor, offsets: torch.Tensor, around: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    key, value = pairs[around].chunk(2, -1)
    logits = (key * query[:, None]).sum(-1) + (offsets * asked[:, None]).sum(-1)
    weight = (logits / query.shape[-1] ** 0.5).softmax(-1)[..., None]
    return (weight * value).sum(1), (weight * offsets).sum(1)


def some_points(dtype: torch.dtype, count: int, neighbours: int, width: int) -> tuple[torch.Tensor, ...]:
    """What ``attend`` takes; some points are nobody's neighbour, some are everybody's."""
    made = torch.Generator().manual_seed(0)
    shapes = [(count, 2 * width), (count, width), (count, 5)]
    learned = [torch.randn(shape, generator=made, dtype=dtype).requires_grad_() for shape in shapes]
    offsets = torch.randn(count, neighbours, 5, generator=made, dtype=dtype)
    return *learned, offsets, torch.randint(count // 2, (count, neighbours), generator=made)


def test_the_kernel_of_attention_is_its_twin() -> None:
    given = some_points(torch.float32, 300, 16, 32)
    found, wanted = attend(*given), attend_twin(*given)
    torch.testing.assert_close(found, wanted)
    upstream = [torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)) for mean in found]
    gradients = [torch.autograd.grad(means, given[:3], upstream) for means in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_gradients_of_attention_are_finite_differences() -> None:
    assert torch.autograd.gradcheck(attend, some_points(torch.float64, 12, 3, 4))


def test_a_photo_shows_no_point_behind_what_its_mask_ignores(demo: Capture) -> None:
    means = PixelStart(most=500)(demo, torch.Generator()).means
    picture = demo.photos[0].decode()
    mask = np.full(picture.rgb.shape[:2], 255, np.uint8)
    mask[:, :32] = 0
    masked = replace(demo.photos[0], decode=lambda: Picture(picture.rgb, mask))
    plain = sightings(means, demo, 3)
    found = sightings(means, replace(demo, photos=[masked, *demo.photos[1:]]), 3)
    left = plain[0].place[0, 0, :, 0] < 0
    assert (plain[0].seen & left).any() and (plain[0].seen & ~left).any()
    assert torch.equal(found[0].seen, plain[0].seen & ~left)
    assert torch.equal(found[1].seen, plain[1].seen)


def test_smoothness_follows_the_fit_when_its_steps_change(demo: Capture) -> None:
    fit = begun("coherentgs", demo, most=400)
    for _ in range(4):
        fit.step()
    model = fit.model
    assert isinstance(model, CoherentModel) and model.done / model.steps == 4 / 40
    fit.follow(replace(fit.recipe, steps=10))
    fit.step()
    assert model.done / model.steps == 5 / 10


def test_neighbours_of_the_finished_scene_are_those_that_steps_learned_with(demo: Capture) -> None:
    fit = begun("pointgs", demo, most=400)
    model, searched = fit.model, []
    assert isinstance(model, PointGsModel)
    for _ in range(fit.recipe.steps):
        before = model.around
        fit.step()
        if model.around is not before:
            searched.append(fit.done)
    assert searched == [7, 14, 20, 27, 34]


def test_points_stay_near_their_start(demo: Capture) -> None:
    fit = begun("pointgs", demo, most=500)
    assert isinstance(fit.model, PointGsModel)
    with torch.no_grad():
        for parameter in fit.model.parameters().values():
            parameter.mul_(50)
    fit.model.changed()
    moved = (fit.model.gaussians.means.detach() - fit.model.base.means).abs()
    assert (moved <= 0.5 * fit.model.gaps * (1 + 1e-3) + 1e-6).all() and moved.max() > 0


@pytest.mark.parametrize("most", [50, 999, 1500])
def test_there_are_no_more_pixels_than_asked_for(demo: Capture, most: int) -> None:
    kept = sum(int(grid.kept.sum()) for grid in pixel_grids(demo, most))
    assert most / 3 < kept <= most


def test_gaussians_of_a_pixel_stay_on_its_ray(demo: Capture) -> None:
    fit = begun("coherentgs", demo, most=1500)
    start = PixelStart(most=1500)(demo, torch.Generator())
    for _ in range(12):
        fit.step()
    model = fit.model
    assert isinstance(model, CoherentModel) and torch.equal(model.base.means, start.means)
    before, after = start.means - model.centers, model.gaussians.means.detach() - model.centers
    apart = torch.linalg.cross(before, after).norm(dim=-1) / before.norm(dim=-1) / after.norm(dim=-1)
    assert apart.max() < 1e-5
    share = after.norm(dim=-1) / before.norm(dim=-1)
    assert share.std() > 1e-5, "depths moved"


def test_sizes_follow_depth(demo: Capture) -> None:
    fit = begun("coherentgs", demo, most=1500, resize=1 / 40)
    model = fit.model
    assert isinstance(model, CoherentModel)
    with torch.no_grad():
        for parameter in model.depth.parameters():
            parameter.add_(0.02)
    model.changed()
    fit.step()
    depths = model.depths(model.gaussians.means.detach())
    wide = torch.cat([s.grid.width(d) for s, d in zip(model.sheets, depths, strict=True)])
    torch.testing.assert_close(model.gaussians.scales[:, 0].detach(), wide, rtol=1e-4, atol=0)


def test_ranges_of_depth_part_at_its_gaps() -> None:
    disparity = torch.cat([torch.full((6, 5), 0.2), torch.full((6, 5), 0.9)], 1)
    disparity += 0.01 * torch.rand(6, 10, generator=torch.Generator().manual_seed(0))
    found = ranges(disparity, 2)
    torch.testing.assert_close(found.sum(0), torch.ones(6, 10))
    assert (found[0][:, :4] == 1).all() and (found[1][:, 6:] == 1).all()
    assert ranges(torch.ones(4, 4), 5).sum(0).eq(1).all(), "one depth is one range"


def test_an_edge_between_segments_is_no_roughness_within_them(demo: Capture) -> None:
    model = begun("coherentgs", demo, most=1500).model
    assert isinstance(model, CoherentModel)
    sheet = model.sheets[0]
    step = sheet.segments.argmax(0).float()
    rough, inside = roughness(step, sheet)
    assert rough > 0 and inside == 0
    flat, _ = roughness(torch.ones_like(step), sheet)
    assert flat == 0


def wall() -> Capture:
    """Two photos of a flat pattern 2 away, taken 0.1 apart: one is the other shifted by 4 pixels."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 12, 20, generator=generator)
    pattern = torch.nn.functional.interpolate(noise, size=(60, 100), mode="bicubic").clamp(0, 1)[0]
    wide = (255 * pattern).byte().permute(1, 2, 0).contiguous().numpy()
    viewmats = torch.eye(4).repeat(2, 1, 1)
    viewmats[1, 0, 3] = -0.1
    K = torch.tensor([[80.0, 0, 40], [0, 80, 30], [0, 0, 1]]).repeat(2, 1, 1)
    size = torch.full((2,), 80), torch.full((2,), 60)
    photos = [
        Photo(
            f"{i}.png",
            80,
            60,
            partial(Picture, wide[:, 4 * i : 4 * i + 80].copy()),
            depth=partial(np.full, (60, 80), 2.0, np.float32),
        )
        for i in range(2)
    ]
    return Capture(photos, "made", Cameras(viewmats, K, *size))


def test_flow_sees_that_photos_agree_where_depth_is_right() -> None:
    settings, capture = CoherentGs(most=5000, flow=1.0, smooth=0.0), wall()
    sheets = sheets_of(pixel_grids(capture, settings.most), settings.segments)
    pairs = pairs_of(capture, sheets)
    assert [(pair.here, pair.there) for pair in pairs] == [(0, 1), (1, 0)]
    assert all(0.5 < pair.sure.float().mean() < 1 for pair in pairs)
    base = Gaussians.merge([sheet.grid.gaussians(0.5) for sheet in sheets])
    model = CoherentModel(settings, base, sheets, pairs, 100)
    farther = model.centers + 1.1 * (base.means - model.centers)
    assert model.penalty(base.means) < 0.15 * model.penalty(farther)


def test_budgets_hold() -> None:
    assert PointGs().limited(10).most == 10 and CoherentGs().limited(10).most == 10
    assert PointGs(most=5).limited(10).most == 5
