"""Prototypes: K-means, moments, groups, and their fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.density import Fixed
from firstlight.fitting import Fit, Recipe
from firstlight.recipes import get_recipe
from firstlight.representations import PrototypeModel, Prototypes
from firstlight.representations._kmeans import kmeans, parts
from firstlight.representations._prototypes import features, merged, prototypes_of
from firstlight.representations.protogs import gathered
from firstlight.scene import Capture, Gaussians, Points
from firstlight.starts import RandomBox
from tests.scenes import random_gaussians

RNG = np.random.default_rng(0)


def test_kmeans_finds_what_is_apart() -> None:
    truth = np.repeat(np.arange(5), 40)
    points = 10 * truth[:, None] + RNG.normal(size=(200, 3))
    label = kmeans(points, np.ones(200), 5, RNG)
    assert all(len(set(label[truth == i])) == 1 for i in range(5)) and len(set(label)) == 5
    assert np.array_equal(kmeans(points[:3], np.ones(3), 5, RNG), [0, 1, 2])
    assert len(set(kmeans(np.zeros((9, 2)), np.ones(9), 4, RNG))) == 1


def test_weights_say_where_the_centres_are() -> None:
    points = RNG.normal(size=(500, 2))
    weights = np.where(points[:, 0] > 0, 1.0, 0.0)
    label = kmeans(points, weights, 8, RNG)
    right = points[:, 0] > 0.3
    assert len(set(label[right])) > 2 * len(set(label[points[:, 0] < -0.3]) - set(label[right]))


def test_parts_are_small_and_whole() -> None:
    for points in (RNG.normal(size=(1000, 3)), np.zeros((1000, 3))):
        groups = parts(points, 64, RNG)
        assert max(map(len, groups)) <= 64
        assert np.array_equal(np.sort(np.concatenate(groups)), np.arange(1000))


def test_anchors_have_enough_members() -> None:
    means, anchors = RNG.normal(size=(400, 3)), RNG.normal(size=(90, 3))
    left, group = gathered(means, anchors, 20)
    assert np.bincount(group, minlength=len(left)).min() >= 20 and 2 < len(left) < 20
    assert np.array_equal(group, ((means[:, None] - left) ** 2).sum(2).argmin(1))
    assert len(gathered(means, anchors, 1000)[0]) == 1


def test_a_prototype_has_the_moments_of_its_members() -> None:
    members = random_gaussians(7, 2)
    weights = torch.rand(7, generator=torch.Generator().manual_seed(1)) + 0.1
    made = merged(members, weights, torch.tensor([0, 0, 1, 0, 2, 2, 0]), 3)
    first, share = (
        members.select(torch.tensor([0, 1, 3, 6])),
        weights[[0, 1, 3, 6]] / weights[[0, 1, 3, 6]].sum(),
    )
    mean = (share[:, None] * first.means).sum(0)
    off = first.means - mean
    covariance = (share[:, None, None] * (first.covariances + off[:, :, None] * off[:, None, :])).sum(0)
    torch.testing.assert_close(made.means[0], mean)
    torch.testing.assert_close(made.covariances[0], covariance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.sh[0], (share[:, None, None] * first.sh).sum(0))
    assert made.opacities[0] >= (share * first.opacities).sum() - 1e-6
    # Alone, it stays as it is.
    torch.testing.assert_close(made.covariances[1], members.covariances[2], rtol=1e-4, atol=1e-6)
    for name in ("means", "logit_opacities", "sh"):
        torch.testing.assert_close(getattr(made, name)[1], getattr(members, name)[2], rtol=1e-4, atol=1e-5)


def test_features_do_not_know_how_a_turn_is_written() -> None:
    scene = random_gaussians(30)
    turned = Gaussians(scene.means, -scene.quats, scene.log_scales, scene.logit_opacities, scene.sh)
    np.testing.assert_allclose(features(turned), features(scene), atol=1e-5)
    alike = random_gaussians(40)
    alike.means *= 0
    alike.sh[20:, 0] += 20
    made = prototypes_of(alike, torch.ones(40), 2, RNG)
    assert len(made) == 2 and float((made.sh[0, 0] - made.sh[1, 0]).abs().mean()) > 10


@pytest.mark.parametrize("weight", [0.0, 1e-40])
def test_where_nothing_counts_all_count_alike(weight: float) -> None:
    scene = random_gaussians(30)
    made = prototypes_of(scene, torch.full((30,), weight), 4, np.random.default_rng(0))
    usual = prototypes_of(scene, torch.ones(30), 4, np.random.default_rng(0))
    assert made.finite().all() and len(made) == len(usual)
    torch.testing.assert_close(made.means, usual.means)


@pytest.fixture(scope="module")
def capture() -> Capture:
    """The demo, tiny, with a few anchors."""
    capture = pipeline.prepare(load_demo(with_cameras=True), 64)
    return replace(capture, points=points_of(RandomBox(40)(capture, torch.Generator().manual_seed(3)).means))


def points_of(xyz: torch.Tensor) -> Points:
    return Points(xyz.double(), torch.zeros(len(xyz), 3, dtype=torch.uint8), torch.ones(len(xyz)).double())


def recipe(steps: int) -> Recipe:
    return replace(
        get_recipe("vanilla"),
        start=RandomBox(1500),
        density=Fixed(),
        representation=Prototypes(after=0.1, every=30_000),
        steps=steps,
        sh_degree=0,
    )


@pytest.mark.usefixtures("one_thread")
def test_prototypes_take_the_place_of_gaussians_and_move_to_where_they_are_needed(capture: Capture) -> None:
    short = replace(recipe(150), representation=Prototypes(after=0.1, every=1))
    fit = Fit(capture, short, list(range(6)), 0)
    fit.begin()
    for _ in range(15):
        fit.step()
    assert isinstance(fit.model, PrototypeModel)
    count = len(fit.model)
    assert count <= 150
    before = fit.model.gaussians.detach()
    for _ in range(60):
        fit.step()
    model = fit.model
    assert isinstance(model, PrototypeModel)
    assert model.rebuilt == 1 and len(model) == len(model.group) == count
    assert int(model.group.max()) < len(model.anchors)
    kept = torch.cdist(model.gaussians.means.detach(), before.means).amin(1) < 0.3
    assert kept.float().mean() > 0.6, "few have changed"
    assert all(tensor.isfinite().all() for tensor in model.gaussians)


@pytest.mark.usefixtures("one_thread")
def test_a_resumed_fit_is_the_unbroken_one(capture: Capture) -> None:
    whole, first, second = (Fit(capture, recipe(20), [0, 1, 2], 0) for _ in range(3))
    whole.begin()
    first.begin()
    for _ in range(20):
        whole.step()
    for _ in range(7):
        first.step()
    second.restore(7, {name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(13):
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.model.gaussians, second.model.gaussians, strict=True))
